// Package console draws what the engine tells: the events of a run as plain lines, as a live
// table or as JSON, and problems of a workflow with the text they point at. It writes to the
// writers it is given and decides nothing.
package console
