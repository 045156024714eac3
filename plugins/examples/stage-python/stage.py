"""Sorts the lines of a text and leaves out those that were there before: see the README beside it."""
import json, os, threading
from so8t_plugin import pb, rpc, serve

SCHEMA = {"type": "object", "additionalProperties": False, "required": ["text"], "properties": {
    "text": {"type": "string", "format": "path", "description": "a text file, UTF-8"},
    "reverse": {"type": "boolean", "default": False}}}
stopping = threading.Event()

class Stage(rpc.StageServicer):
    def Describe(self, request, context):
        return pb.DescribeReply(
            name="sort-lines", version="1", kind="stage", help="sorts lines, each once", **{"with": json.dumps(SCHEMA).encode()},
            outputs=[pb.Output(name="sorted", path="sorted.txt", media_type="text/plain")],
            metrics=[pb.MetricSpec(name="lines"), pb.MetricSpec(name="duplicates", better="lower")])

    def Check(self, request, context):
        path = json.loads(getattr(request, "with")).get("text", "")
        if "text" in request.pending or os.path.isfile(path):  # pending: made by a stage that has yet to run
            return pb.CheckReply()
        return pb.CheckReply(problems=[pb.Problem(field="text", code="bad_input", message=f"there is no file {path!r}")])

    def Run(self, request, context):
        given, lines, count = json.loads(getattr(request, "with")), set(), 0
        try:
            for count, line in enumerate(open(given["text"], encoding="utf-8"), 1):
                if stopping.is_set():
                    return (yield pb.RunEvent(error=pb.Error(code="cancelled", message="asked to stop")))
                lines.add(line.rstrip("\n"))
                if count % 1000 == 0:
                    yield pb.RunEvent(progress=pb.Progress(done=count, unit="line"))
        except (OSError, ValueError) as wrong:
            return (yield pb.RunEvent(error=pb.Error(code="bad_input", message=str(wrong))))
        print(f"{count} lines, {len(lines)} different")  # goes to the log
        with open(os.path.join(request.output_dir, "sorted.txt"), "w", encoding="utf-8", newline="\n") as out:
            out.writelines(line + "\n" for line in sorted(lines, reverse=given.get("reverse", False)))
        yield pb.RunEvent(result=pb.Result(metrics={"lines": len(lines), "duplicates": count - len(lines)}))

    def Stop(self, request, context):
        stopping.set()
        return pb.StopReply()

serve(Stage())
