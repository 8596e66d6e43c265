package life

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// one is a call that began and ended at a time, and how.
type one struct {
	from, to int64
	call     call
	result   result
}

func TestModel(t *testing.T) {
	ok := result{outcome: done}
	saw := func(n int8) result { return result{outcome: done, seen: n} }
	at := func(n int64) result { return result{outcome: done, at: n} }
	made := one{0, 1, call{do: create}, ok}
	first, second := call{do: push, doc: 2, tag: 0}, call{do: push, doc: 3, tag: 0}
	tests := []struct {
		name  string
		calls []one
		want  bool
	}{
		{"a tag that is there", []one{made, {2, 3, first, ok}, {4, 5, call{do: readTag}, saw(2)}}, true},
		{"a tag that is lost", []one{made, {2, 3, first, ok}, {4, 5, call{do: readTag}, saw(none)}}, false},
		{"a tag that goes back", []one{made, {2, 3, first, ok}, {4, 5, second, ok}, {6, 7, call{do: readTag}, saw(2)}}, false},
		{"two pushes at once", []one{made, {2, 5, first, ok}, {3, 4, second, ok}, {6, 7, call{do: readTag}, saw(2)}}, true},
		{"a push without an answer, done", []one{made, {2, 3, first, result{}}, {4, 5, call{do: readTag}, saw(2)}}, true},
		{"a push without an answer, not done", []one{made, {2, 3, first, result{}}, {4, 5, call{do: readTag}, saw(none)}}, true},
		{"one that is done later", []one{
			made, {2, 3, first, result{}}, {4, 5, call{do: readTag}, saw(none)}, {6, 7, call{do: readTag}, saw(2)},
		}, false},
		{"an image that was deleted is there", []one{
			made, {2, 3, first, ok}, {4, 5, call{do: remove, doc: 2}, ok}, {6, 7, call{do: readImage, doc: 2}, saw(2)},
		}, false},
		{"a tag of an image that was deleted", []one{
			made, {2, 3, first, ok}, {4, 5, call{do: remove, doc: 2}, ok}, {6, 7, call{do: readTag}, saw(2)},
		}, false},
		{"the last tag takes the image along", []one{
			made, {2, 3, first, ok}, {4, 5, call{do: untag}, ok}, {6, 7, call{do: readImage, doc: 2}, saw(none)},
		}, true},
		{"at /v2/ it does not", []one{
			made, {2, 3, first, ok}, {4, 5, call{do: untagKeep}, ok}, {6, 7, call{do: readImage, doc: 2}, saw(none)},
		}, false},
		{"a policy that is lost", []one{made, {2, 3, call{do: setPolicy, text: 1}, ok}, {4, 5, call{do: readPolicy}, saw(none)}}, false},
		{"an index without its images", []one{made, {2, 3, call{do: push, doc: images, tag: none}, ok}}, false},

		{"an upload goes on", []one{
			{0, 1, call{do: beginUpload, durable: true}, ok},
			{2, 3, call{do: appendUpload, length: 10, durable: true}, at(10)},
			{4, 4, call{do: cut}, result{}},
			{5, 6, call{do: appendUpload, at: 10, length: 5, durable: true}, at(15)},
		}, true},
		{"an upload that lost a part", []one{
			{0, 1, call{do: beginUpload, durable: true}, ok},
			{2, 3, call{do: appendUpload, length: 10, durable: true}, at(10)},
			{4, 4, call{do: cut}, result{}},
			{5, 6, call{do: readUpload}, at(0)},
		}, false},
		{"an upload that is lost", []one{
			{0, 1, call{do: beginUpload, durable: true}, ok},
			{2, 2, call{do: cut}, result{}},
			{3, 4, call{do: readUpload}, result{outcome: absent}},
		}, false},
		{"at /v2/ it may go back to a checkpoint", []one{
			{0, 1, call{do: beginUpload}, ok},
			{2, 3, call{do: appendUpload, length: 10}, at(10)},
			{4, 4, call{do: cut}, result{}},
			{5, 6, call{do: readUpload}, at(4)},
		}, true},
		{"but not beyond what was sent", []one{
			{0, 1, call{do: beginUpload}, ok},
			{2, 3, call{do: appendUpload, length: 10}, at(10)},
			{4, 4, call{do: cut}, result{}},
			{5, 6, call{do: readUpload}, at(11)},
		}, false},
		{"nor without a cut", []one{
			{0, 1, call{do: beginUpload}, ok},
			{2, 3, call{do: appendUpload, length: 10}, at(10)},
			{4, 5, call{do: readUpload}, at(4)},
		}, false},
	}
	for _, tt := range tests {
		var ops []porcupine.Operation
		for n, c := range tt.calls {
			ops = append(ops, porcupine.Operation{ClientId: n, Input: c.call, Call: c.from, Output: c.result, Return: c.to})
		}
		if got := unexplained(ops) == 0; got != tt.want {
			t.Errorf("%s: an order explains it: %t, want %t", tt.name, got, tt.want)
		}
	}
}
