package loop

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// digest identifies everything that the steps depend on beside the start of the parameters
// and the backend: the settings, the groups and the rows.
func (r *Run) digest() (string, error) {
	h := sha256.New()
	e := json.NewEncoder(h)
	if err := e.Encode(r.Settings); err != nil {
		return "", fmt.Errorf("setting up training: %w", err)
	}
	for _, g := range r.Model.Groups() {
		h.Write(fmt.Appendf(nil, "%q %v %v %q\n", g.Name, g.LRScale, g.Decay, g.Clip))
		for _, p := range g.Params {
			h.Write(fmt.Appendf(nil, "%q %v\n", p.Name, p.Tensor().Shape()))
		}
	}
	var b []byte
	for _, rows := range [][]Row{r.Train, r.Validation} {
		for _, row := range rows {
			b = binary.LittleEndian.AppendUint32(b[:0], uint32(len(row.Tokens)))
			for t, id := range row.Tokens {
				b = binary.LittleEndian.AppendUint32(b, uint32(id))
				if t > 0 && row.learn(t) {
					b = append(b, 1)
				} else {
					b = append(b, 0)
				}
			}
			h.Write(b)
		}
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
