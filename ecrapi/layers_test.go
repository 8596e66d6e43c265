package ecrapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// start begins an upload and returns its id.
func (b *bench) start(repo string) string {
	b.Helper()
	return b.call("InitiateLayerUpload", obj{"repositoryName": repo})["uploadId"].(string)
}

// part is a request that adds content to an upload at a place.
func part(repo, id string, first int, content string) obj {
	return obj{"repositoryName": repo, "uploadId": id, "partFirstByte": first, "partLastByte": first + len(content) - 1,
		"layerPartBlob": b64(content)}
}

func TestLayerByParts(t *testing.T) {
	b := open(t)
	b.repository("app")
	first, second := strings.Repeat("a", 5<<20), "the end"
	b.same("begun", b.call("InitiateLayerUpload", obj{"repositoryName": "app"})["partSize"], 10485760)
	id := b.start("app")
	answer := obj{"registryId": account, "repositoryName": "app", "uploadId": id}
	b.same("first part", b.call("UploadLayerPart", part("app", id, 0, first)), merge(answer, obj{"lastByteReceived": len(first) - 1}))
	b.same("second part", b.call("UploadLayerPart", part("app", id, len(first), second)), merge(answer, obj{"lastByteReceived": len(first+second) - 1}))
	b.same("complete", b.call("CompleteLayerUpload", obj{"repositoryName": "app", "uploadId": id, "layerDigests": arr{"md5:00", sum("x"), sum(first + second)}}),
		merge(answer, obj{"layerDigest": sum(first + second)}))
	b.same("there", b.call("BatchCheckLayerAvailability", obj{"repositoryName": "app", "layerDigests": arr{sum(first + second)}}), obj{
		"layers":   arr{obj{"layerDigest": sum(first + second), "layerAvailability": "AVAILABLE", "layerSize": len(first + second)}},
		"failures": arr{},
	})
}

// TestLargestPart uploads a part of as many bytes as there may be, and one
// byte, which is byte 0.
func TestLargestPart(t *testing.T) {
	b := open(t)
	b.repository("app")
	for _, size := range []int{1, 20_971_520} {
		content := strings.Repeat("0123456789\xff", size/11+1)[:size]
		id := b.start("app")
		body := fmt.Sprintf(`{"repositoryName":"app","uploadId":%q,"partFirstByte":0,"partLastByte":%d,"layerPartBlob":%q}`, id, size-1, b64(content))
		b.same("part", b.call("UploadLayerPart", body)["lastByteReceived"], size-1)
		// Completed only if the bytes are those that the digest is of.
		b.call("CompleteLayerUpload", obj{"repositoryName": "app", "uploadId": id, "layerDigests": arr{sum(content)}})
	}
}

func random(n int) string {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(out)
	return string(out)
}

func TestPartsThatAreRefused(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{Parts: 2, Layer: 10 << 20} })
	b.repository("app")
	b.repository("bee")
	fresh, begun := b.start("app"), b.start("app")
	five := strings.Repeat("a", 5<<20)
	b.call("UploadLayerPart", part("app", begun, 0, five))
	refused := func(id string, in obj, last int, message string) {
		b.Helper()
		out := b.refused("UploadLayerPart", in, "InvalidLayerPartException", message)
		b.same("members", out, obj{"__type": out["__type"], "message": out["message"],
			"registryId": account, "repositoryName": "app", "uploadId": id, "lastValidByteReceived": last})
	}
	refused(fresh, part("app", fresh, 5, "xyz"), -1, "First byte of the layer part is 5 instead of 0")
	refused(begun, part("app", begun, 0, "xyz"), 5<<20-1, "First byte of the layer part is 0 instead of 5242880")
	refused(begun, part("app", begun, 5<<20+1, "xyz"), 5<<20-1, "First byte of the layer part is 5242881 instead of 5242880")
	refused(fresh, merge(part("app", fresh, 0, "xyz"), obj{"partLastByte": 3}), -1, "Length of the layer part is 3 instead of 4")
	refused(begun, merge(part("app", begun, 5<<20, "xyz"), obj{"partLastByte": 0}), 5<<20-1, "Length of the layer part is 3 instead of -5242879")
	refused(fresh, merge(part("app", fresh, 0, ""), obj{"partLastByte": 0}), -1, "Length of the layer part is 0 instead of 1")
	absent := "Upload with id '" + noUpload + "' does not exist in the repository with name 'app' in the registry with id '000000000000'"
	b.refused("UploadLayerPart", part("app", noUpload, 0, "xyz"), "UploadNotFoundException", absent)
	b.refused("UploadLayerPart", part("bee", begun, 0, "xyz"), "UploadNotFoundException",
		"Upload with id '"+begun+"' does not exist in the repository with name 'bee' in the registry with id '000000000000'")
	b.refused("UploadLayerPart", part("no", begun, 0, "xyz"), "RepositoryNotFoundException", notThere("no"))
	in := "upload with id '" + begun + "' in the repository with name 'app' in registry with id '000000000000'"
	b.refused("UploadLayerPart", part("app", begun, 5<<20, five+"x"), "LimitExceededException",
		"The "+in+" exceeds the maximum allowed layer size in bytes which is '10485760'")
	b.call("UploadLayerPart", part("app", begun, 5<<20, "x"))
	b.refused("UploadLayerPart", part("app", begun, 5<<20+1, "x"), "LimitExceededException",
		"The "+in+" already has the maximum allowed number of parts which is '2'")
	b.call("CompleteLayerUpload", obj{"repositoryName": "app", "uploadId": begun, "layerDigests": arr{sum(five + "x")}})
}

func TestCompleteLayerUploadRefusals(t *testing.T) {
	b := open(t)
	b.repository("app")
	complete := func(id string, digests ...any) obj {
		return obj{"repositoryName": "app", "uploadId": id, "layerDigests": arr(digests)}
	}
	empty := b.start("app")
	b.refused("CompleteLayerUpload", complete(empty, sum("")), "EmptyUploadException",
		"The upload with id '"+empty+"' in the repository with name 'app' in registry with id '000000000000' cannot be completed because it does not have any parts")
	small := b.start("app")
	b.call("UploadLayerPart", part("app", small, 0, "abc"))
	b.call("UploadLayerPart", part("app", small, 3, "def"))
	b.refused("CompleteLayerUpload", complete(small, sum("abcdef")), "LayerPartTooSmallException",
		"All layer parts except the last part should be at least 5MB")
	gone := func(id string) string {
		return "Upload with id '" + id + "' does not exist in the repository with name 'app' in the registry with id '000000000000'"
	}
	wrong := b.start("app")
	b.call("UploadLayerPart", part("app", wrong, 0, "abc"))
	b.refused("CompleteLayerUpload", complete(wrong, sum("xyz"), "md5:00"), "InvalidLayerException",
		"None of the provided layer digests match the calculated layer digest")
	b.refused("CompleteLayerUpload", complete(wrong, sum("abc")), "UploadNotFoundException", gone(wrong))
	b.refused("CompleteLayerUpload", complete(noUpload, sum("abc")), "UploadNotFoundException", gone(noUpload))
	exists := "The layer with digest '" + sum("abc") + "' already exists in the repository with name 'app' in the registry with id '000000000000'"
	first, second := b.start("app"), b.start("app")
	b.call("UploadLayerPart", part("app", first, 0, "abc"))
	b.call("UploadLayerPart", part("app", second, 0, "abc"))
	b.call("CompleteLayerUpload", complete(first, sum("abc")))
	b.refused("CompleteLayerUpload", complete(first, sum("abc")), "LayerAlreadyExistsException", exists)
	b.refused("CompleteLayerUpload", complete(first, sum("x")), "UploadNotFoundException", gone(first))
	b.refused("CompleteLayerUpload", complete(second, sum("abc")), "LayerAlreadyExistsException", exists)
	b.refused("CompleteLayerUpload", merge(complete(second, sum("abc")), obj{"repositoryName": "no"}), "RepositoryNotFoundException", notThere("no"))
	b.refused("InitiateLayerUpload", obj{"repositoryName": "no"}, "RepositoryNotFoundException", notThere("no"))
}

func TestOpenUploadsAreLimited(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{Uploads: 2} })
	b.repository("app")
	b.start("app")
	b.start("app")
	b.refused("InitiateLayerUpload", obj{"repositoryName": "app"}, "InvalidParameterException",
		"The maximum allowed number of open layer uploads is '2': complete some, or let them expire")
}

// TestPartsSurviveARestart: what was answered with 200 is there in another
// process.
func TestPartsSurviveARestart(t *testing.T) {
	store := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	same := func(s *setup) { s.registry = store }
	b := open(t, same)
	b.repository("app")
	id := b.start("app")
	b = open(t, same)
	b.call("UploadLayerPart", part("app", id, 0, "content"))
	b = open(t, same)
	b.call("CompleteLayerUpload", obj{"repositoryName": "app", "uploadId": id, "layerDigests": arr{sum("content")}})
}

func TestBatchCheckLayerAvailability(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.repository("bee")
	b.image("app", "used", "1")
	b.layer("app", "unused")
	b.layer("bee", "elsewhere")
	long := strings.Repeat("a", 1000)
	out := b.call("BatchCheckLayerAvailability", obj{"repositoryName": "app", "layerDigests": arr{
		sum("used"), sum("unused"), sum("elsewhere"), sum("absent"), sum("used"), "md5:d41d8cd98f00b204e9800998ecf8427e",
		"", "sha256:", "sha256:12", strings.ToUpper(sum("used")[7:]), long,
	}})
	absent := func(d string) obj { return obj{"layerDigest": d, "layerAvailability": "UNAVAILABLE"} }
	b.same("layers", out["layers"], arr{
		obj{"layerDigest": sum("used"), "layerAvailability": "AVAILABLE", "layerSize": 4, "mediaType": ociLayer},
		obj{"layerDigest": sum("unused"), "layerAvailability": "AVAILABLE", "layerSize": 6},
		absent(sum("elsewhere")), absent(sum("absent")), absent("md5:d41d8cd98f00b204e9800998ecf8427e"),
	})
	failures := arr{}
	for _, d := range []string{"", "sha256:", "sha256:12", strings.ToUpper(sum("used")[7:]), long} {
		f := obj{"layerDigest": d, "failureCode": "InvalidLayerDigest",
			"failureReason": "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"}
		if d == "" {
			delete(f, "layerDigest")
		}
		failures = append(failures, f)
	}
	b.same("failures", out["failures"], failures)
	b.refused("BatchCheckLayerAvailability", obj{"repositoryName": "no", "layerDigests": arr{"x"}}, "RepositoryNotFoundException", notThere("no"))
}

func TestGetDownloadURLForLayer(t *testing.T) {
	b := open(t)
	b.repository("team/app")
	b.image("team/app", "layer", "1")
	b.layer("team/app", "unused")
	for _, content := range []string{"layer", "{}"} {
		out := b.call("GetDownloadUrlForLayer", obj{"repositoryName": "team/app", "layerDigest": sum(content)})
		b.same("digest", out["layerDigest"], sum(content))
		u, err := url.Parse(out["downloadUrl"].(string))
		b.must(err)
		if got, want := u.Scheme+"://"+u.Host+u.Path, "http://localhost:5000/layers/000000000000/us-east-1/"+sum(content)+"/team/app"; got != want {
			t.Errorf("link %s, want %s", got, want)
		}
		link := credentials.Link{Account: account, Region: region, Repository: "team/app", Digest: sum(content)}
		if by, err := b.verifier.VerifyLink(t.Context(), link, u.Query()); err != nil || by.Account != account {
			t.Errorf("the link opens nothing: %v", err)
		}
		link.Digest = sum("unused")
		if _, err := b.verifier.VerifyLink(t.Context(), link, u.Query()); err == nil {
			t.Error("the link opens another layer")
		}
	}
	in := " in the repository with name 'team/app' in the registry with id '000000000000'"
	b.refused("GetDownloadUrlForLayer", obj{"repositoryName": "team/app", "layerDigest": sum("unused")}, "LayerInaccessibleException",
		"The layer with digest '"+sum("unused")+"' is not accessible"+in+" because no image uses it")
	for _, d := range []string{sum("absent"), "sha256:00", "md5:00"} {
		b.refused("GetDownloadUrlForLayer", obj{"repositoryName": "team/app", "layerDigest": d}, "LayersNotFoundException",
			"The layer with digest '"+d+"' does not exist within the repository with name 'team/app' in the registry with id '000000000000'")
		b.refused("GetDownloadUrlForLayer", obj{"repositoryName": "no", "layerDigest": d}, "RepositoryNotFoundException", notThere("no"))
	}
}

// TestLinksExpire makes a link whose hour is over.
func TestLinksExpire(t *testing.T) {
	b := open(t, func(s *setup) { s.api.Now = func() time.Time { return time.Now().Add(-time.Hour - time.Second) } })
	b.repository("app")
	b.image("app", "layer", "1")
	out := b.call("GetDownloadUrlForLayer", obj{"repositoryName": "app", "layerDigest": sum("layer")})
	u, err := url.Parse(out["downloadUrl"].(string))
	b.must(err)
	link := credentials.Link{Account: account, Region: region, Repository: "app", Digest: sum("layer")}
	if _, err := b.verifier.VerifyLink(t.Context(), link, u.Query()); err == nil {
		t.Error("the link still opens the layer")
	}
}

// shuffled writes an object with its members in another order.
func shuffled(b *bench, in obj, r *rand.Rand) string {
	var members []string
	for k, v := range in {
		j, err := json.Marshal(v)
		b.must(err)
		members = append(members, fmt.Sprintf("%q : %s", k, j))
	}
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "\n{" + strings.Join(members, " ,\n") + "}\n"
}

// TestPartsInAnyForm writes the JSON of a part in many ways: orders of
// members, escapes, further members, white space.
func TestPartsInAnyForm(t *testing.T) {
	b := open(t)
	b.repository("app")
	r := rand.New(rand.NewPCG(1, 2))
	for i, size := range []int{1, 2, 3, 4, 5, 100, 1000, 49_150, 49_151, 49_152, 49_153, 70_000, 200_000} {
		content := random(size)
		id := b.start("app")
		in := part("app", id, 0, content)
		in["unknown"] = obj{"layerPartBlob": "not this one", "list": arr{"a", obj{"x": `"}],:{`}}}
		body := shuffled(b, in, r)
		switch i % 4 {
		case 1:
			body = strings.ReplaceAll(body, "/", `\/`)
		case 2:
			body = strings.ReplaceAll(body, "+", `\u002b`)
			body = strings.ReplaceAll(body, `"layerPartBlob"`, `"layerP\u0061rtBlob"`)
		case 3:
			body = strings.Replace(body, "{", `{"layerPartBlob":"AAAA",`, 1) // the last one counts
			body = strings.ReplaceAll(body, "=", `\u003D`)
		}
		b.call("UploadLayerPart", body)
		b.call("CompleteLayerUpload", obj{"repositoryName": "app", "uploadId": id, "layerDigests": arr{sum(content)}})
	}
}

// TestPartsThatAreNoBase64 leaves the upload where it was.
func TestPartsThatAreNoBase64(t *testing.T) {
	b := open(t)
	b.repository("app")
	id := b.start("app")
	for _, blob := range []string{
		`"A"`, `"AA"`, `"AAA"`, `"AAAAA"`, `"===="`, `"A==="`, `"AA=A"`, `"AA==AAAA"`, `"AAA=="`, `"AA AA=="`, `"AAAA\n"`, `" AAAA"`,
		"\"AA\nAA\"", `"AA-_"`, `"AA\\A"`, `"AA\u00e9A"`, `"AA\u0100"`, `"AA\u00zzA"`, `"AA\qA"`, `"AAÄ"`, "\"AA\xff\"", `"AAA`, `"AAA\`, `"AA\u0`,
		`7`, `{}`, `[]`, `["AAAA"]`, `true`, `"AAAA" "AAAA"`, `"AAAA""AAAA"`,
	} {
		body := fmt.Sprintf(`{"repositoryName":"app","uploadId":%q,"partFirstByte":0,"partLastByte":2,"layerPartBlob":%s}`, id, blob)
		w := b.send(request{target: targetPrefix + "UploadLayerPart", body: body})
		if out := b.decode(w.Body.Bytes()); w.Code != 400 || out["__type"] != "SerializationException" {
			t.Errorf("%s: %d %s", blob, w.Code, w.Body)
		}
	}
	b.invalid("UploadLayerPart", merge(part("app", id, 0, "abc"), obj{"layerPartBlob": nil}), "layerPartBlob", "Member must not be null")
	b.same("still empty", b.call("UploadLayerPart", part("app", id, 0, "abc"))["lastByteReceived"], 2)
}

func TestPartsWithMuchElse(t *testing.T) {
	b := open(t)
	b.repository("app")
	id := b.start("app")
	for _, more := range []string{`"` + strings.Repeat("x", 64<<10) + `"`, strings.Repeat(" ", 64<<10) + "0", `"` + strings.Repeat(`\"`, 1<<20) + `"`} {
		w := b.send(request{target: targetPrefix + "UploadLayerPart", body: strings.Replace(b.encode(part("app", id, 0, "abc")), "{", `{"x":`+more+",", 1)})
		if out := b.decode(w.Body.Bytes()); out["__type"] != "SerializationException" {
			t.Errorf("a request with %d bytes beside its part: %d %s", len(more), w.Code, w.Body)
		}
	}
	w := b.send(request{target: targetPrefix + "UploadLayerPart", body: strings.Repeat(" ", 60<<20)})
	if out := b.decode(w.Body.Bytes()); w.Code != 413 || out["__type"] != "RequestEntityTooLarge" {
		t.Errorf("60 MiB: %d %s", w.Code, w.Body)
	}
}
