"""Serves a so8t plugin in Python. Copy this file and stage.proto as they are."""
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
pb, rpc = grpc.protos_and_services("stage.proto")  # grpcio-tools compiles it when the program starts
def serve(stage):
    if os.environ.get("SO8T_PLUGIN") != "stage-v1":
        sys.exit("this is a so8t plugin: name its folder in a workflow (uses:), or run `so8t plugins test` on it")
    server, alive = grpc.server(ThreadPoolExecutor(8)), health_pb2_grpc.HealthServicer()
    alive.Check = lambda *_: health_pb2.HealthCheckResponse(status="SERVING")
    rpc.add_StageServicer_to_server(stage, server)
    health_pb2_grpc.add_HealthServicer_to_server(alive, server)
    end = grpc.unary_unary_rpc_method_handler(lambda *_: server.stop(1) and Empty(), Empty.FromString, Empty.SerializeToString)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": end})])
    address = f"unix:{os.environ['PLUGIN_UNIX_SOCKET_DIR']}/python{os.getpid()}" if os.name != "nt" else "127.0.0.1:0"
    port = server.add_insecure_port(address)
    server.start()
    print("1|1|" + (f"tcp|127.0.0.1:{port}" if os.name == "nt" else address.replace(":", "|", 1)) + "|grpc", flush=True)
    threading.Thread(target=lambda: sys.stdin.buffer.read() or os._exit(1), daemon=True).start()  # so8t is gone
    server.wait_for_termination()
