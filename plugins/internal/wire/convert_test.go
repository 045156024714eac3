package wire

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/so8t/so8t/plugins"
	pb "github.com/so8t/so8t/plugins/proto/v1"
)

// fill sets every exported field of v, so that a field which a conversion forgets shows.
func fill(v reflect.Value, n *int) {
	*n++
	if at, is := v.Addr().Interface().(*time.Time); is {
		*at = time.Unix(0, int64(*n)).UTC()
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d 日本", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 2)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			if v.Type().Elem().Kind() == reflect.Uint8 {
				v.Index(i).SetUint(uint64('0' + *n%10))
				continue
			}
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, n)
		v.SetMapIndex(reflect.ValueOf("key"), value)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Type.Kind() != reflect.Func && f.Type.Kind() != reflect.Chan {
				fill(v.Field(i), n)
			}
		}
	}
}

func filled[T any]() T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

// overTheWire encodes and decodes a message.
func overTheWire[M proto.Message](t *testing.T, m M) M {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out.(M)
}

func same(t *testing.T, want, have any) {
	t.Helper()
	if !reflect.DeepEqual(want, have) {
		t.Errorf("%T: sent\n%+v\nreceived\n%+v", want, want, have)
	}
}

func TestRoundTrip_EveryFieldSurvives(t *testing.T) {
	d := filled[plugins.Description]()
	same(t, d, descriptionFromProto(overTheWire(t, descriptionToProto(d))))
	c := filled[plugins.CheckRequest]()
	same(t, c, checkRequestFromProto(overTheWire(t, checkRequestToProto(c))))
	r := filled[plugins.CheckReport]()
	for i := range r.Problems {
		r.Problems[i].Code = plugins.OutOfDisk
	}
	same(t, r, reportFromProto(overTheWire(t, reportToProto(r))))
	n := 0
	a := &plugins.Attempt{}
	fill(reflect.ValueOf(a).Elem(), &n)
	same(t, a, attemptFromProto(overTheWire(t, attemptToProto(a))))
	result := filled[plugins.Result]()
	got, err := resultFromProto(overTheWire(t, resultToProto(result)).GetResult())
	if err != nil {
		t.Fatal(err)
	}
	same(t, result, got)
	for _, e := range []plugins.Event{
		filled[plugins.Progress](), filled[plugins.Metric](), filled[plugins.LogLine](), filled[plugins.Saved](), filled[plugins.Warning](),
	} {
		same(t, e, eventFromProto(overTheWire(t, eventToProto(e))))
	}
}

func TestErrors_EveryCodeSurvives(t *testing.T) {
	for _, code := range plugins.Codes {
		sent := plugins.Errorf(code, "doing %q: %w", "x", errors.New("cause"))
		sent.Detail = "last lines"
		err := errorFromProto(overTheWire(t, errorToProto(fmt.Errorf("wrapped: %w", sent))))
		var got *plugins.Error
		if !errors.As(err, &got) || got.Code != code || got.Detail != "last lines" || got.Message != `wrapped: doing "x": cause` {
			t.Errorf("%s: got %+v", code, err)
		}
	}
	if errorToProto(nil) != nil || errorFromProto(nil) != nil {
		t.Error("no error became one")
	}
	if code := plugins.CodeOf(errorFromProto(&pb.Error{Code: "of a later version"})); code != plugins.Internal {
		t.Errorf("an unknown code became %s", code)
	}
}

func TestNil_IsEmpty(t *testing.T) {
	same(t, plugins.Description{}, descriptionFromProto(nil))
	same(t, plugins.CheckRequest{}, checkRequestFromProto(nil))
	same(t, plugins.CheckReport{}, reportFromProto(nil))
	same(t, &plugins.Attempt{}, attemptFromProto(nil))
	for _, m := range []*pb.RunEvent{
		nil, {}, {Event: &pb.RunEvent_Checkpoint{}}, {Event: &pb.RunEvent_Heartbeat{}}, {Event: &pb.RunEvent_Result{}},
	} {
		if e := eventFromProto(m); e != nil {
			t.Errorf("%v became %+v", m, e)
		}
	}
	for _, m := range []*pb.RunEvent{
		{Event: &pb.RunEvent_Progress{}}, {Event: &pb.RunEvent_Metric{}}, {Event: &pb.RunEvent_Log{}}, {Event: &pb.RunEvent_Warning{}},
	} {
		if eventFromProto(m) == nil {
			t.Errorf("%v became nothing", m)
		}
	}
	if eventToProto(nil) != nil {
		t.Error("no event became one")
	}
}

func TestNotANumber_IsRefused(t *testing.T) {
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		m := eventToProto(plugins.Metric{Name: "loss", Value: x, Step: 3})
		if w, ok := eventFromProto(m).(plugins.Warning); !ok || !strings.Contains(w.Message, "loss") {
			t.Errorf("%v became %+v", x, eventFromProto(m))
		}
		if _, err := resultFromProto(&pb.Result{Metrics: map[string]float64{"loss": x}}); err == nil {
			t.Errorf("a result with %v was accepted", x)
		}
	}
}

func TestText_IsWhatProtobufTakes(t *testing.T) {
	overTheWire(t, eventToProto(plugins.LogLine{Message: "\x83\x5c Shift-JIS"}))
	m := eventToProto(plugins.Warning{Message: strings.Repeat("長", 1<<20)})
	if n := proto.Size(m); n > maxText+100 {
		t.Errorf("a long text takes %d bytes", n)
	}
}
