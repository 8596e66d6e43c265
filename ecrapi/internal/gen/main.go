// Command gen turns the model of the ECR API into package shape: the types of
// requests and responses, enumerations, the names of exceptions, and tables of
// what the model demands of each value.
//
//	go run ./ecrapi/internal/gen -model ecrapi/model/ecr-2015-09-21.json -out ecrapi/shape
//
// What it writes is data: nothing in it decides anything.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	model := flag.String("model", "", "read the model from `FILE`")
	out := flag.String("out", "", "write the package into `FOLDER`")
	flag.Parse()
	if *model == "" || *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*model, *out); err != nil {
		log.Fatal(err)
	}
}

func run(model, out string) error {
	b, err := os.ReadFile(model)
	if err != nil {
		return err
	}
	files, err := generate(b)
	if err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	for name, source := range files {
		if err := os.WriteFile(filepath.Join(out, name), source, 0o644); err != nil {
			return err
		}
	}
	return nil
}
