// Command so8t takes a language model from data to a measured, served model, one YAML
// workflow at a time, and survives being killed on the way.
package main

func main() {}
