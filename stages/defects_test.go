package stages

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// defects is what went wrong in the scripts that this project grew from, as 44 properties, and the
// tests that fail when one of them is lost. The paths are from the root of the repository; a test's
// name follows a blank, a script has none. What is not built yet has no test but a reason.
var defects = []struct{ property, tests, reason string }{
	{"gate_identity_at_zero", "stages/internal/so8t/rotation_test.go TestGate_ZeroIsExactlyTheIdentity, stages/internal/phi3/model_test.go TestModel_StartsAtTheBase", ""},
	{"gate_changes_output_when_nonzero", "stages/internal/phi3/model_test.go TestModel_Gates, stages/internal/loop/planted_test.go TestGate_RecoversAPlantedRotation", ""},
	{"cayley_orthogonal_and_det1", "stages/internal/so8t/rotation_test.go TestGate_EqualsReference, stages/internal/so8t/rotation_test.go TestRotation_OnePlane", ""},
	// There is no map but Cayley's; what went wrong was that one block's angles decided how another was computed.
	{"exp_scaling_per_block", "stages/internal/so8t/rotation_test.go TestRotations_BlocksStandAlone", ""},
	{"only_28_params_per_block", "stages/internal/so8t/rotation_test.go TestCheckTheta, stages/internal/phi3/plan_test.go TestPlanTraining_Phi4Mini", ""},
	{"fold_after_linear_is_RtW", "stages/internal/so8t/rotation_test.go TestFold_Convention, stages/internal/so8t/rotation_test.go TestFold_EqualsGateAfterTheLayer", ""},
	// There is no gate before a layer: another site than o_proj's output is refused by its name.
	{"fold_before_linear_is_WRt", "stages/bake/bake_test.go TestRun_RefusesAnAdapterOfAnotherModel", ""},
	{"fold_counts_all_32_or_fails", "stages/bake/bake_test.go TestReport_CheckCounts, stages/bake/bake_test.go TestProver_SeesEveryMistake", ""},
	{"fold_verified_in_f32_then_cast_error_reported", "stages/bake/bake_test.go TestRun_BakedFolderEqualsTheTrainedModel, stages/bake/bake_test.go TestRun_FailedProofLeavesNoModel", ""},
	{"lora_merged_before_fold", "stages/bake/bake_test.go TestProver_SeesEveryMistake, stages/internal/phi3/merged_test.go TestMerged_EqualsReferenceInAnyChunks", ""},
	{"pet_zero_on_linear_ramp", "stages/internal/ops/pet_test.go TestPET_RampScoresNothing", ""},
	{"pet_one_on_white_noise_normalised", "stages/internal/ops/pet_test.go TestPET_IsFreeOfScale", ""},
	{"pet_mask_needs_three_valid", "stages/internal/ops/pet_test.go TestPET_TriplesLieInOneSequence", ""},
	{"pet_phase_boundaries", "stages/internal/so8t/pet_test.go TestSchedule", ""},
	{"dataset_no_duplicates", "stages/data/stage_test.go TestRun_DefaultCounts_BalancedUniqueDisjoint", ""},
	{"split_no_template_leak", "stages/data/stage_test.go TestRun_DefaultCounts_BalancedUniqueDisjoint, stages/internal/dataset/import_test.go TestFindLeaks_Fixtures_LineByLine", ""},
	{"labels_in_target", "stages/internal/dataset/import_test.go TestImport_TextLabelRows_TargetStatesLabelAndReason", ""},
	{"count_4999_explained_or_exact_5000", "stages/data/stage_test.go TestConfig_Samples_DividedInTheRatio", ""},
	{"checkpoint_atomic_under_kill", "plugins/sdk/publish_test.go TestPublish_EveryFailure_LeavesNoCheckpoint, stages/internal/loop/killed_test.go TestRun_ProcessKilledWhileSaving_ContinuesBitIdentical", ""},
	{"resume_bit_identical", "stages/train/killed_test.go TestRun_KilledAtRandomMoments_SameBytes, stages/internal/loop/loop_test.go TestRun_ResumedIsBitIdentical", ""},
	{"retention_keeps_valid_five", "engine/disk_test.go TestRun_KeepsTheNewestCheckpoints", ""},
	{"interrupted_exit_code_nonzero", "engine/cli/kill_linux_test.go TestRun_Signals", ""},
	{"corrupt_latest_falls_back", "engine/cli/fallback_linux_test.go TestTrain_DamagedNewestCheckpointFallsBack", ""},
	// The quantisers are our own; each named type is made, as itself.
	{"quantiser_missing_is_failure", "stages/gguf/gguf_test.go TestRun_MeasuresWhatTheTypeLoses, stages/internal/modelfile/modelfile_test.go TestWrite_EqualsLlamaQuantize", ""},
	{"gguf_magic_and_tensor_count_checked", "stages/internal/ggufio/ggufio_test.go TestOpen_RefusesDamage, stages/internal/modelfile/modelfile_test.go TestOpen_TruncatedGGUFIsRefused", ""},
	// A Modelfile beside the report makes the same model by hand.
	{"modelfile_from_absolute", "stages/ollama/real_test.go TestReal_OnceAndByHand", ""},
	{"template_matches_training", "stages/ollama/failures_test.go TestRun_Failures, stages/modeltool/generate_test.go TestGenerate_ChatEqualsOllama", ""},
	{"ollama_six_tests_asserted", "stages/ollama/ollama_test.go TestRun_RequiredTests, stages/ollama/ollama_test.go TestRun_EachRepeatCounts", ""},
	{"ece_known_vectors", "stages/internal/metrics/metrics_test.go TestReport_Fixtures", ""},
	{"temperature_recovers_planted_T", "stages/internal/metrics/metrics_test.go TestFitTemperature_RecoversAPlantedOne, stages/calibrate/calibrate_test.go TestFit_RecoversThePlantedTemperature", ""},
	{"at_bound_flagged", "stages/internal/metrics/metrics_test.go TestReport_Fixtures", ""},
	{"accuracy_compares_target", "stages/eval/eval_test.go TestRun_MetricsFollowFromPredictions", ""},
	{"repetition_detected_without_spaces", "stages/internal/metrics/metrics_test.go TestLongform_Fixtures", ""},
	{"false_allow_rate_reported", "stages/eval/eval_test.go TestRun_MetricsFollowFromPredictions, stages/internal/metrics/metrics_test.go TestReport_Fixtures", ""},
	{"report_never_claims_unmeasured", "stages/report/report_test.go TestRun_TellsNotRunFromFailed, stages/report/report_test.go TestRun_EveryNumberIsTraced", ""},
	{"audit_chain_detects_tamper", "", "the agent and its audit log are to come"},
	{"deny_importance_not_zero", "", "the agent is to come"},
	{"rag_filters_before_ranking", "", "retrieval is to come"},
	{"unknown_classification_is_highest", "", "retrieval is to come"},
	{"disk_preflight_blocks", "engine/cli/testdata/script/preflight_resources.txtar", ""},
	{"oom_ladder_keeps_effective_batch", "stages/internal/loop/ladder_test.go TestRun_OutOfMemory_SmallerMicroBatchesSameCurve", ""},
	{"two_engines_one_lock", "engine/cli/kill_linux_test.go TestResume_SecondEngineIsRefused, state/lock_test.go TestRunLockBetweenProcesses", ""},
	{"zero_output_is_failure", "plugins/manifest/manifest_test.go TestSealOutputs_NotAsDeclared, plugins/sdk/publish_test.go TestRun_MissingOutput_IsAnError", ""},
	{"secret_redaction_in_logs", "plugins/host/host_test.go TestSecrets_AreNowhere, engine/cli/testdata/script/secrets_hidden.txtar", ""},
}

// TestDefects_EachHasItsTests: the table names what there is.
func TestDefects_EachHasItsTests(t *testing.T) {
	if len(defects) != 44 {
		t.Errorf("%d properties, there are 44", len(defects))
	}
	for _, d := range defects {
		if (d.tests == "") == (d.reason == "") {
			t.Errorf("%s: either tests or a reason", d.property)
		}
		if d.tests == "" {
			continue
		}
		for _, name := range strings.Split(d.tests, ", ") {
			path, test, _ := strings.Cut(name, " ")
			text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(path)))
			if err != nil {
				t.Errorf("%s: %v", d.property, err)
				continue
			}
			if test != "" && !regexp.MustCompile(`(?m)^func `+test+`\(`).Match(text) {
				t.Errorf("%s: %s has no %s", d.property, path, test)
			}
		}
	}
}
