// Package serve has the commands of the API server: serve runs it, token makes and revokes the
// tokens with which people and programs come to it. Package controller/apiserver does the work.
package serve
