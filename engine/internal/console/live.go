package console

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rivo/uniseg"

	"github.com/so8t/so8t/engine"
)

// Live keeps a table of the stages on a terminal and redraws it in place. Warnings, failures
// and checkpoints of note are written above it and stay.
type Live struct {
	out   io.Writer
	style Style
	size  func() (columns, rows int)
	now   func() time.Time

	mu    sync.Mutex
	board Board
	drawn []int // widths of the lines of the table that stand on the screen
	stop  chan struct{}
	done  sync.WaitGroup
	end   sync.Once
}

// escapes are the colours in a line, which take no room.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// NewLive starts redrawing; Close ends it and leaves the last state on the screen.
// size says how large the terminal is at the moment.
func NewLive(out io.Writer, style Style, size func() (columns, rows int)) *Live {
	l := &Live{out: out, style: style, size: size, now: time.Now, stop: make(chan struct{})}
	l.done.Add(1)
	go l.redraw(time.NewTicker(100 * time.Millisecond))
	return l
}

func (l *Live) redraw(tick *time.Ticker) {
	defer l.done.Done()
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.mu.Lock()
			l.draw()
			l.mu.Unlock()
		}
	}
}

// Listen takes one event in.
func (l *Live) Listen(e engine.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.board.Apply(e)
	switch {
	case e.Kind == engine.Warned:
		l.above(l.style.paint(yellow, "warning: ") + e.Instance + ": " + PlainText(e.Message))
	case e.Kind == engine.Logged && (e.Level == "warn" || e.Level == "error"):
		l.above(l.style.paint(grey, e.Instance+" | ") + PlainText(e.Message))
	case e.Kind == engine.StageStarted && e.ResumedFrom != nil:
		l.above(fmt.Sprintf("%s goes on from the checkpoint at step %d of run %s", e.Instance, e.ResumedFrom.Step, e.ResumedFrom.Run))
	case e.Kind == engine.StageEnded && e.Error != nil && e.Outcome != "interrupted":
		l.above(e.Instance + " " + EndText(e, l.style))
	}
}

// Close draws the final state and stops; a second one does nothing.
func (l *Live) Close() {
	l.end.Do(func() {
		close(l.stop)
		l.done.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.draw()
	})
}

// Again draws a new table below whatever stands on the screen, which is no longer only ours: the
// shell's words after Ctrl-Z.
func (l *Live) Again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drawn = nil
	l.draw()
}

// above writes a line that stays, over the table.
func (l *Live) above(text string) {
	l.erase()
	fmt.Fprintln(l.out, text)
	l.draw()
}

func (l *Live) erase() {
	columns, _ := l.size()
	if up := l.height(columns); up > 0 {
		fmt.Fprintf(l.out, "\x1b[%dA\x1b[J", up)
		l.drawn = nil
	}
}

// height is how many lines of the screen the table takes: a terminal that has become narrower since
// it was drawn has wrapped its lines.
func (l *Live) height(columns int) int {
	lines := 0
	for _, width := range l.drawn {
		lines += 1 + max(width-1, 0)/max(columns, 1)
	}
	return lines
}

// draw replaces the table on the screen in one write, so that it does not flicker.
func (l *Live) draw() {
	if l.board.rows == nil {
		return
	}
	columns, rows := l.size()
	table := l.board.Table(l.style, columns, rows-2, l.now())
	var b strings.Builder
	if up := l.height(columns); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	l.drawn = l.drawn[:0]
	for _, line := range table {
		b.WriteString("\r" + line + "\x1b[K\n")
		l.drawn = append(l.drawn, uniseg.StringWidth(escapes.ReplaceAllString(line, "")))
	}
	b.WriteString("\x1b[J")
	_, _ = io.WriteString(l.out, b.String())
}
