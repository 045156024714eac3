package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"runtime/debug"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/so8t/so8t/plugins"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

// ProtocolVersion of stage.proto; the second field of the handshake line.
const ProtocolVersion = 1

// The variables by which the engine tells a plugin what it cannot know.
const (
	// CookieKey and CookieValue say that an engine started the program.
	CookieKey   = "SO8T_PLUGIN"
	CookieValue = "stage-v1"
	// BuildKey is the build id that a built-in stage must have.
	BuildKey = "SO8T_PLUGIN_BUILD"
	// CrashKey is STAGE:N, for tests of crashes.
	CrashKey = "SO8T_CRASH_STAGE"
)

// ReplacedLine stands in place of the handshake when a built-in stage finds that its build id
// is another than the engine's.
const ReplacedLine = "so8t-plugin|replaced"

// Handshake is the same for every plugin.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   CookieKey,
	MagicCookieValue: CookieValue,
}

// Name under which the stage is dispensed.
const Name = "stage"

// Plugin joins both ends to go-plugin. Stage is nil in the engine.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Stage plugins.Stage
}

var _ plugin.GRPCPlugin = (*Plugin)(nil)

// GRPCServer registers the service in the plugin.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterStageServer(s, NewServer(p.Stage))
	return nil
}

// GRPCClient returns a *Client in the engine.
func (p *Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewClient(conn), nil
}

// BuildID tells builds of a binary apart, as far as what the go command embeds does.
func BuildID() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	sum := sha256.Sum256([]byte(info.String()))
	return hex.EncodeToString(sum[:8])
}
