package ollamahost

import "testing"

func TestAddress(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1": "http://127.0.0.1:11434", "0.0.0.0:8080": "http://127.0.0.1:8080", "https://gpu.example": "https://gpu.example:11434",
		"http://[::1]:1": "http://[::1]:1",
		"0.0.0.0":        "http://127.0.0.1:11434", "box": "http://box:11434", "box:80": "http://box:80",
		"https://box/": "https://box:11434", "[::1]:9": "http://[::1]:9", "::": "", "http://": "",
	} {
		if got, err := Address(host); got != want || (err == nil) == (want == "") {
			t.Errorf("%q: %q, %v, want %q", host, got, err, want)
		}
	}
}
