"""Scores how many of the tuned model's answers give a reason: see the README beside it."""
import json, os, threading
from so8t_plugin import pb, rpc, serve
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["predictions"], "properties": {
    "predictions": {"type": "string", "format": "path", "x-so8t-media-type": "application/jsonl"},
    "word": {"type": "string", "default": "理由:", "description": "what a reason begins with"}}}
stopping = threading.Event()
class Evaluator(rpc.StageServicer):
    def Describe(self, request, context):
        return pb.DescribeReply(
            name="reasoned", version="1", kind="evaluator", help="share of the tuned model's answers that give a reason",
            metrics=[pb.MetricSpec(name="reasoned_rate", better="higher")], **{"with": json.dumps(SCHEMA, ensure_ascii=False).encode()},
            outputs=[pb.Output(name="scores", path="scores.jsonl", media_type="application/jsonl", optional=True),
                     pb.Output(name="metrics", path="metrics.json", media_type="application/json")])
    def Check(self, request, context):
        return pb.CheckReply()  # that the file of predictions is there, so8t has looked
    def Run(self, request, context):
        given, scores = json.loads(getattr(request, "with")), []
        try:
            for number, line in enumerate(open(given["predictions"], encoding="utf-8"), 1):
                if stopping.is_set():
                    return (yield pb.RunEvent(error=pb.Error(code="cancelled", message="asked to stop")))
                if (row := json.loads(line)).get("model", "tuned") == "tuned":
                    scores.append({"id": row["id"], "score": float(given.get("word", "理由:") in row["output"])})
                if number % 100 == 0:
                    yield pb.RunEvent(progress=pb.Progress(done=number, unit="row"))
        except (OSError, ValueError, KeyError, TypeError) as wrong:
            return (yield pb.RunEvent(error=pb.Error(code="bad_input", message=f"predictions: {wrong!r}")))
        metrics = {"reasoned_rate": sum(s["score"] for s in scores) / max(1, len(scores))}
        for name, rows in {"scores.jsonl": scores, "metrics.json": [metrics]}.items():
            with open(os.path.join(request.output_dir, name), "w", encoding="utf-8") as out:
                out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        yield pb.RunEvent(result=pb.Result(metrics=metrics))
    def Stop(self, request, context):
        stopping.set()
        return pb.StopReply()

serve(Evaluator())
