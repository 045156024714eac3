package wire

import "google.golang.org/grpc"

// A connection joins two processes of one machine, one of which may live for milliseconds: its
// buffers are small, and its window is fixed, or each end would send pings to estimate the delay of
// a network that is not there.
const (
	connectionBuffer = 4 << 10 // bytes
	connectionWindow = 1 << 20 // bytes
)

// DialOptions are those of the engine's end.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithReadBufferSize(connectionBuffer), grpc.WithWriteBufferSize(connectionBuffer),
		grpc.WithInitialWindowSize(connectionWindow), grpc.WithInitialConnWindowSize(connectionWindow),
	}
}

// NewGRPCServer makes the plugin's end, with what go-plugin wants of it.
func NewGRPCServer(opts []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(opts,
		grpc.ReadBufferSize(connectionBuffer), grpc.WriteBufferSize(connectionBuffer),
		grpc.InitialWindowSize(connectionWindow), grpc.InitialConnWindowSize(connectionWindow))...)
}
