// Command evaluator-go scores how polite a tuned model is: see the README beside it.
package main

import (
	"log"
	"strings"

	"github.com/so8t/so8t/plugins"
	"github.com/so8t/so8t/plugins/sdk"
)

// polite is 1 for an answer whose last sentence ends in です, ます or ません, else 0.
func polite(row sdk.Row) (score float64, ok bool) {
	text := strings.TrimRight(row.Output, "。.!！ \n")
	for _, ending := range []string{"です", "ます", "ません"} {
		if strings.HasSuffix(text, ending) {
			score = 1
		}
	}
	return score, row.Model == "tuned" || row.Model == ""
}

func main() {
	err := sdk.ServeEvaluator(sdk.Mean{
		Name: "politeness", Version: "1", Help: "share of the tuned model's answers that end politely",
		Metric: plugins.MetricSpec{Name: "polite_rate", Better: "higher"}, Score: polite,
	})
	if err != nil {
		log.Fatal(err)
	}
}
