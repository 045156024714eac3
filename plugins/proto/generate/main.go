// Command generate compiles a .proto file to Go without an installed protoc: protocompile
// parses it, and the two code generators, pinned below, are run by the go command.
//
//	go run ./plugins/proto/generate DIR FILE.proto [COPY_TO…]
//
// The folders COPY_TO get a copy of the file: examples that compile it themselves.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// generators are pinned: the same .proto gives the same bytes.
var generators = []string{
	"google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
	"google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("generate: ")
	if len(os.Args) < 3 {
		log.Fatal("usage: generate DIR FILE.proto [COPY_TO…]")
	}
	if err := generate(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
	if err := copyTo(os.Args[3:], os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func copyTo(folders []string, dir, file string) error {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return err
	}
	for _, to := range folders {
		if err := os.WriteFile(filepath.Join(to, file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func generate(dir, file string) error {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{dir}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), file)
	if err != nil {
		return fmt.Errorf("compiling %q: %w", file, err)
	}
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{file},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{protoutil.ProtoFromFileDescriptor(files[0])},
	})
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	for _, g := range generators {
		if err := runGenerator(g, request, dir); err != nil {
			return err
		}
	}
	return nil
}

func runGenerator(generator string, request []byte, dir string) error {
	cmd := exec.CommandContext(context.Background(), "go", "run", generator)
	cmd.Stdin = bytes.NewReader(request)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("running %q: %w", generator, err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return fmt.Errorf("decoding the answer of %q: %w", generator, err)
	}
	if response.Error != nil {
		return fmt.Errorf("running %q: %s", generator, response.GetError())
	}
	for _, f := range response.File {
		path := filepath.Join(dir, filepath.FromSlash(f.GetName()))
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
			return fmt.Errorf("writing %q: %w", path, err)
		}
	}
	return nil
}
