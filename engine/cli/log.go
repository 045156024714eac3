package cli

import (
	"encoding/json"
	"os"

	"github.com/rs/zerolog"

	"github.com/so8t/so8t/engine"
)

// logging also writes what an engine tells to standard error, a line of JSON an event, when SO8T_LOG
// asks for it: debug has every event, info what begins and ends, warn and error what its name says.
func (a *app) logging(to engine.Listener) engine.Listener {
	level, err := zerolog.ParseLevel(os.Getenv("SO8T_LOG"))
	if err != nil || level == zerolog.NoLevel {
		return to
	}
	log := zerolog.New(a.Err).Level(level)
	return func(e engine.Event) {
		if text, err := json.Marshal(e); err == nil { // what the engine tells always encodes
			log.WithLevel(levelOf(e)).RawJSON("so8t", text).Send()
		}
		if to != nil {
			to(e)
		}
	}
}

func levelOf(e engine.Event) zerolog.Level {
	switch {
	case e.Error != nil:
		return zerolog.ErrorLevel
	case e.Kind == engine.Warned:
		return zerolog.WarnLevel
	case e.Kind == engine.RunStarted, e.Kind == engine.RunEnded, e.Kind == engine.StageStarted, e.Kind == engine.StageEnded:
		return zerolog.InfoLevel
	}
	return zerolog.DebugLevel
}
