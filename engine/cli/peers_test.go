package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// peerPains is what users of other workflow engines ask for again and again, P1 to P16, and the tests
// here that would fail in the engines named. The paths are from the root of the repository; a test's
// name follows a blank, a script has none.
var peerPains = []struct{ pain, peers, tests string }{
	{"P1 a resume repeats finished work for no visible reason", "Snakemake #1694 #3528: the whole workflow ran again; Nextflow #1408: a blank line changed the hash",
		"engine/unit_test.go TestCanonical_EqualValuesHaveEqualBytes, engine/unit_test.go TestIdentify, engine/property_test.go TestProperty_RandomWorkflows"},
	{"P2 nobody can say why a stage runs", "Nextflow #4894 #844: two dumps of hashes are compared by hand; Argo #2320",
		"engine/plan_test.go TestPlan_SaysWhy, engine/cli/testdata/script/plan_reasons.txtar"},
	{"P3 running for ever after a crash", "Dagu #1023 #2298: 90 s by a timer, and live runs killed by it (#1773); Dagster #17754; Prefect #7239",
		"engine/sweep_linux_test.go TestSweep_EngineKilledBeforeDurableSteps, state/lock_test.go TestRunLockOutlivesItsProcess, state/transitions_test.go TestOlderEpochIsFenced"},
	{"P4 a stale lock and a manual unlock", "Snakemake #2919 --unlock; Nextflow #3986 rm LOCK; DVC #10465",
		"state/lock_test.go TestRunLockBetweenProcesses, engine/cli/kill_linux_test.go TestResume_SecondEngineIsRefused"},
	{"P5 orphans and half-killed trees", "Nextflow #172 #2169; go-plugin #10 #306; go-task and Snakemake leave the shell running after kill -9",
		"plugins/host/leftover_linux_test.go TestEngineKilled_UntiedGrandchild_IsSwept, plugins/host/leftover_linux_test.go TestSweep_ReusedPID_IsSpared, engine/cli/kill_linux_test.go TestRun_EngineKilled_ServerOfAStageGoesToo"},
	{"P6 an interrupted stage counts as done", "go-task #1178: the next task builds from half a file; ZenML #3975: a hit though the artifact is gone",
		"engine/lostwrites_linux_test.go TestRun_PowerCutAtAnyOperation, engine/faults_linux_test.go TestRun_DiskFailsAtAnyCall, engine/cli/testdata/script/cached_damage.txtar"},
	{"P7 retry and resume run another graph than run", "Argo #12936 #16938; Dagster #30077; Dagu #382: outputs of earlier steps are lost",
		"engine/property_test.go TestProperty_RandomWorkflows"},
	{"P8 slow on large graphs", "Snakemake #1575 30 minutes, a chain of 1,000 fails; Argo #7121 1 MB an object; Dagu is quadratic",
		"engine/peers_p08_test.go TestPlan_TenThousandStages"},
	{"P9 one lock over everything", "DVC #755 #5007; sqlite's database is locked: Dagster #3238, Prefect #10188",
		"state/turn_test.go TestWriterIsNotOvertaken, engine/cli/kill_linux_test.go TestRun_ReadersAtAnyTime"},
	{"P10 a GPU is no resource", "Nextflow #997 #5570; Snakemake #116: the user picks the id of the device",
		"engine/devices_test.go TestRun_GPUs_AreLeasedAndNamed, engine/devices_test.go TestRun_GPU_OfAnotherEngine_IsWaitedForAndFreedByItsDeath"},
	{"P11 logs are lost or too long", "Argo #14083; go-plugin PR #265: a line of 64 KiB; stash #7170: the pipe closes and the child dies",
		"plugins/host/log_test.go TestStream_EndlessLine_IsNotHeld, plugins/host/host_test.go TestRun_Flood_StaysSmall"},
	{"P12 YAML is hard to write", "DVC #5371; Dagu #455: errors without a line, a cycle passes validate",
		"engine/cli/testdata/script/bad_workflow.txtar, engine/cli/testdata/script/init_templates.txtar"},
	{"P13 resume is asked for again and again", "Kedro #82 #5440; Metaflow #1499; ZenML PR #4588: nobody looks whether the code changed",
		"engine/rerun_test.go TestResume_SaysWhatChanged, engine/rerun_test.go TestResume_AcceptChanges"},
	{"P14 the cache grows, and collecting breaks it", "DVC #855 #9420 #4634: gc loses the run cache",
		"engine/gc_test.go TestGC_BesideRuns, engine/gc_test.go TestGC_KilledBeforeEveryDurableStep"},
	{"P15 long work dies unnoticed", "Temporal sdk-python #1012: the activity must send its own heartbeats",
		"plugins/host/host_test.go TestRun_Frozen_IsKilled, plugins/host/host_test.go TestSuspend_IsNotSilence"},
	{"P16 the state is damaged by a power cut", "bbolt #135 #701 #778: a truncated file is a panic",
		"state/damage_test.go TestDamagedDatabase, state/damage_test.go TestBitFlips, state/damage_test.go TestRepair"},
}

// TestPeers_EachPainHasItsTests: the table names what there is.
func TestPeers_EachPainHasItsTests(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, p := range peerPains {
		for _, name := range strings.Split(p.tests, ", ") {
			path, test, _ := strings.Cut(name, " ")
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
			if err != nil {
				t.Errorf("%s (%s): %v", p.pain, p.peers, err)
				continue
			}
			if test != "" && !regexp.MustCompile(`(?m)^func `+test+`\(`).Match(text) {
				t.Errorf("%s (%s): %s has no %s", p.pain, p.peers, path, test)
			}
		}
	}
}
