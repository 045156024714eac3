package plugins

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
)

// copyAtOnce is how many bytes are copied between two looks whether to go on.
var copyAtOnce int64 = 64 << 20

// CopyFile copies a file to a name that nobody has; perm makes its permissions of the original's, nil
// keeps them. Where the file system can share blocks, the copy does. Of what is large it ends with ctx;
// what it has written by then stays.
func CopyFile(ctx context.Context, from, to string, perm func(fs.FileMode) fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	if perm != nil {
		mode = perm(mode)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	for err == nil {
		if _, err = io.CopyN(out, in, copyAtOnce); err == nil { // copy_file_range where the system has it
			err = ctx.Err()
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, out.Close())
}
