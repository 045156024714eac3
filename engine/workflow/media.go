package workflow

import (
	"slices"
	"strings"
)

// media reports an output that is no input of the kind that the field wants: a model in the place of
// rows. What is not described, or only as bytes, fits everywhere.
func (c schemaCheck) media(v *Value, s *schema, what string) {
	if c.mediaType == nil || s.mediaType == "" {
		return
	}
	made := mediaName(c.mediaType(v.Output.Stage, v.Output.Output))
	if made == "" || made == "application/octet-stream" {
		return
	}
	for _, wanted := range strings.Split(s.mediaType, ",") {
		wanted = mediaName(wanted)
		if family, all := strings.CutSuffix(wanted, "*"); wanted == made || all && strings.HasPrefix(made, family) {
			return
		}
	}
	c.report.add(v.Pos, CodeWrongType, "", "%s wants %s; output %q of stage %q is %s", what, s.mediaType, v.Output.Output, v.Output.Stage, made)
}

// mediaName is a media type without its parameters, under the one name by which it is compared.
func mediaName(mediaType string) string {
	name, _, _ := strings.Cut(mediaType, ";")
	name = strings.ToLower(strings.TrimSpace(name))
	if slices.Contains([]string{"application/x-ndjson", "application/ndjson", "application/x-jsonlines", "application/jsonlines"}, name) {
		return "application/jsonl"
	}
	return name
}

// mediaType is that of a stage's output.
func (d *document) mediaType(stage, output string) string {
	s := d.stages[stage]
	if s == nil || s.Spec == nil {
		return ""
	}
	for _, o := range s.Spec.Outputs {
		if o.Name == output {
			return o.MediaType
		}
	}
	return ""
}
