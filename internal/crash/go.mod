module github.com/seed-78150930/berth/internal/crash

go 1.26.3

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/seed-78150930/berth v0.0.0
	go.etcd.io/bbolt v1.5.0
)

require (
	github.com/coreos/go-oidc/v3 v3.21.0 // indirect
	github.com/distribution/distribution/v3 v3.1.2 // indirect
	github.com/distribution/reference v0.6.0 // indirect
	github.com/go-jose/go-jose/v4 v4.1.8 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/seed-78150930/berth => ../..
