package modeltool

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

var gpuLine = regexp.MustCompile(`(?m)^GPU ([0-9]+):`)

// GPUs lists the ids of the machine's GPUs without loading a driver: its files where it has some
// (Linux), else what nvidia-smi says (Windows, and Linux inside it).
func GPUs() []string {
	found, err := filepath.Glob("/proc/driver/nvidia/gpus/*")
	if err == nil && len(found) > 0 {
		ids := make([]string, len(found))
		for i := range found {
			ids[i] = strconv.Itoa(i)
		}
		return ids
	}
	const patience = 10 * time.Second // the first call after a boot may wake the driver
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := exec.CommandContext(ctx, "nvidia-smi", "-L").Output()
	if err != nil {
		return nil
	}
	var ids []string
	for _, match := range gpuLine.FindAllSubmatch(text, -1) {
		ids = append(ids, string(match[1]))
	}
	return ids
}
