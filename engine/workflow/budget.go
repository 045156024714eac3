package workflow

// What a short file multiplies by matrices, references and mistakes is bounded, over all of a workflow.
const (
	maxInstanceValues = 200_000 // values of all instances
	maxTextBytes      = 8 << 20 // of texts that references were put into
	maxNeeds          = 500_000 // dependencies of one instance on another
	maxProblems       = 3000
)

// fits tells whether the values of e, for all instances of s, are not too many. It counts, and
// reports, for the first instance alone.
func (d *document) fits(e pair, s *Stage, sc scope) bool {
	if sc.first {
		return d.spend(e.value.count*len(s.matrix.instances), e.key.pos)
	}
	return d.values <= maxInstanceValues
}

// spend counts values of instances; false when these are too many, which it reports.
func (d *document) spend(values int, at Pos) bool {
	before := d.values
	if d.values += values; before <= maxInstanceValues && d.values > maxInstanceValues {
		d.report.add(at, CodeTooLarge, "", "over %d values in all instances of all stages", maxInstanceValues)
	}
	return d.values <= maxInstanceValues
}

// spendText counts what the parts of a text come to.
func (d *document) spendText(parts []*Value, at Pos) bool {
	before := d.textBytes
	for _, p := range parts {
		d.textBytes += len(p.Text)
	}
	if before <= maxTextBytes && d.textBytes > maxTextBytes {
		d.report.add(at, CodeTooLarge, "", "over %d bytes of texts with references in them", maxTextBytes)
	}
	return d.textBytes <= maxTextBytes
}

// spendNeeds counts dependencies of the instances of a stage.
func (d *document) spendNeeds(needs int, s *Stage) bool {
	if d.needs += needs; d.needs > maxNeeds {
		d.report.add(s.Pos, CodeTooLarge, "", "with this stage over %d dependencies between instances", maxNeeds)
		return false
	}
	return true
}
