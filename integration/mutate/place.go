package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
)

// mutation is one place that is broken, and the file as it is then.
type mutation struct {
	file     string
	line     int
	function string
	what     string
	text     []byte
}

func (m mutation) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", m.file, m.line, m.function, m.what)
}

// place names a mutation without its line, which moves with what is above it.
func (m mutation) place() string { return m.file + ": " + m.function + ": " + m.what }

// finder collects the mutations of one file.
type finder struct {
	file     string
	function string // that is looked at
	fset     *token.FileSet
	source   []byte
	out      []mutation
}

// mutations lists every way of breaking a file in one place.
func mutations(file string) ([]mutation, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	f := &finder{file: file, fset: token.NewFileSet(), source: source}
	tree, err := parser.ParseFile(f.fset, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range tree.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Name.Name != "Error" {
			f.function = fn.Name.Name
			ast.Inspect(fn.Body, f.visit)
		}
	}
	return f.out, nil
}

func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		f.replace(n.Cond, "!("+f.text(n.Cond)+")")
	case *ast.BinaryExpr:
		if other, ok := opposites()[n.Op]; ok {
			f.replace(n, f.text(n.X)+" "+other.String()+" "+f.text(n.Y))
		}
	case *ast.BasicLit:
		if v, err := strconv.ParseUint(n.Value, 0, 32); err == nil && n.Kind == token.INT {
			f.replace(n, strconv.FormatUint(v+1, 10))
		}
	case *ast.Ident:
		if other, ok := map[string]string{"true": "false", "false": "true"}[n.Name]; ok {
			f.replace(n, other)
		}
	case *ast.ExprStmt:
		f.replace(n, "")
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			f.replace(n, "")
		}
	case *ast.CallExpr:
		f.call(n)
	}
	return true
}

func opposites() map[token.Token]token.Token {
	return map[token.Token]token.Token{token.EQL: token.NEQ, token.NEQ: token.EQL,
		token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ,
		token.GEQ: token.GTR, token.LAND: token.LOR, token.LOR: token.LAND, token.ADD: token.SUB,
		token.SUB: token.ADD}
}

// call leaves out each of the matches in on(...), and the actions of add one by one.
func (f *finder) call(n *ast.CallExpr) {
	first := -1
	switch fun := n.Fun.(type) {
	case *ast.Ident:
		if fun.Name == "on" || fun.Name == "all" {
			first = 0
		}
	case *ast.SelectorExpr:
		if fun.Sel.Name == "add" {
			first = 3
		}
	}
	if first < 0 {
		return
	}
	for i := first; i < len(n.Args); i++ {
		rest := ""
		for j, a := range n.Args {
			if j != i {
				rest += f.text(a) + ", "
			}
		}
		f.replace(n, f.text(n.Fun)+"("+rest+")")
	}
}

func (f *finder) text(n ast.Node) string {
	return string(f.source[f.offset(n.Pos()):f.offset(n.End())])
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

func (f *finder) replace(n ast.Node, by string) {
	from, to := f.offset(n.Pos()), f.offset(n.End())
	text := append(append(append([]byte{}, f.source[:from]...), by...), f.source[to:]...)
	what := fmt.Sprintf("%.90q instead of %.90q", by, f.text(n))
	f.out = append(f.out, mutation{f.file, f.fset.Position(n.Pos()).Line, f.function, what, text})
}
