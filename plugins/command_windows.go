package plugins

// Terminate ends the program: there is no signal here that asks a program without a console.
func (c *Cmd) Terminate() error { return c.Process.Kill() }
