// Package draw makes pictures of who reaches whom: groups and networks as boxes, rules as arrows.
// An answer of flows/matrix becomes an SVG, a page of HTML that asks nobody for anything, or a
// graph in DOT; the commands matrix and plan write them.
//
// The same answer gives the same bytes. All names come from people and are written as text.
package draw
