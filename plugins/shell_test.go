package plugins

import "testing"

// The shell of Windows gets the quotes of the text as they are.
func TestCmdLine(t *testing.T) {
	for text, want := range map[string]string{
		`echo "a b" > %OUT%`:                  `cmd /d /s /c "echo "a b" > %OUT%"`,
		"\"C:\\Program Files\\x.exe\" \"-p\"": `cmd /d /s /c ""C:\Program Files\x.exe" "-p""`,
		"one\r\ntwo\n\nthree\n":               `cmd /d /s /c "one && two && three"`,
	} {
		if got := cmdLine(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
