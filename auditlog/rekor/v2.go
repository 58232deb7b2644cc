package rekor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tile"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// requestV2 is the one call of version 2: rekor-tiles's CreateEntryRequest as
// JSON. Its client would add 11 MB of protobuf and gRPC to the program for it.
type requestV2 struct {
	HashedRekord struct {
		Digest    []byte `json:"digest"`
		Signature struct {
			Content  []byte `json:"content"`
			Verifier struct {
				PublicKey struct {
					RawBytes []byte `json:"rawBytes"`
				} `json:"publicKey"`
				KeyDetails string `json:"keyDetails"`
			} `json:"verifier"`
		} `json:"signature"`
	} `json:"hashedRekordRequestV002"`
}

// answerV2 is sigstore's TransparencyLogEntry as protobuf's JSON: 64-bit
// numbers are strings, and zero ones may be left out.
type answerV2 struct {
	LogIndex number `json:"logIndex"`
	LogID    struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
	Proof struct {
		LogIndex   number   `json:"logIndex"`
		Hashes     [][]byte `json:"hashes"`
		Checkpoint struct {
			Envelope string `json:"envelope"`
		} `json:"checkpoint"`
	} `json:"inclusionProof"`
	Body []byte `json:"canonicalizedBody"`
}

type number uint64

func (n *number) UnmarshalJSON(b []byte) error {
	u, err := strconv.ParseUint(string(bytes.Trim(b, `"`)), 10, 63)
	*n = number(u)
	return err
}

// addV2 logs the envelope's signature over SHA-256 of the bytes that DSSE
// signs: version 2 has no entries for envelopes.
func (c *Client) addV2(ctx context.Context, envelope []byte, submitter *keys.Public) (*auditlog.RekorEntry, bool, error) {
	payload, signature, err := auditlog.OpenRekorEnvelope(envelope)
	if err != nil {
		return nil, false, err
	}
	var r requestV2
	digest := sha256.Sum256(auditlog.RekorMessage(payload))
	r.HashedRekord.Digest = digest[:]
	r.HashedRekord.Signature.Content = signature
	r.HashedRekord.Signature.Verifier.PublicKey.RawBytes = submitter.SPKI()
	r.HashedRekord.Signature.Verifier.KeyDetails = "PKIX_ECDSA_P256_SHA_256"
	text, err := json.Marshal(&r)
	if err != nil {
		return nil, false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("api/v2/log/entries").String(), bytes.NewReader(text))
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, false, c.transport(ctx, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, false, c.transport(ctx, err)
	}
	switch res.StatusCode {
	case http.StatusOK, http.StatusCreated:
		e, err := c.entryV2(answer)
		return e, false, err
	case http.StatusConflict:
		body, err := auditlog.RekorBody(auditlog.RekorV2, envelope, submitter)
		if err != nil {
			return nil, false, err
		}
		e, err := c.existingV2(ctx, res.Header.Get("x-log-index"), answer, body)
		return e, true, err
	}
	return nil, false, c.status(res.StatusCode, messageOf(answer))
}

// messageOf is the message in a gRPC gateway's answer, or the answer as it came.
func messageOf(answer []byte) string {
	var m struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &m) == nil && m.Message != "" {
		return m.Message
	}
	return string(answer)
}

func (c *Client) entryV2(answer []byte) (*auditlog.RekorEntry, error) {
	var a answerV2
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, c.fail(errAnswer, "Is this URL a Rekor server's, and of this version?", "%v", strict.Said(err.Error()))
	}
	hashes, ok := hashesOf(a.Proof.Hashes)
	if !ok || len(a.LogID.KeyID) != 32 || len(a.Body) == 0 {
		return nil, c.fail(errAnswer, "", "an entry without body, log id or hashes of their length")
	}
	checkpoint, err := auditlog.ParseRekorCheckpoint("", auditlog.RekorV2, []byte(a.Proof.Checkpoint.Envelope))
	if err != nil {
		return nil, c.fail(errAnswer, "", "the checkpoint's %v", err)
	}
	return &auditlog.RekorEntry{
		Body: a.Body, LogID: [32]byte(a.LogID.KeyID), Index: uint64(a.LogIndex),
		TreeIndex: uint64(a.Proof.LogIndex), Hashes: hashes, Checkpoint: checkpoint,
	}, nil
}

var withIndex = regexp.MustCompile(`with index ([0-9]+)`)

// existingV2 makes the proof of an entry that the log has from the log's tiles:
// the server says only at which index the entry is. The body is the one that we
// derived; the proof shows that the log has exactly this one there.
func (c *Client) existingV2(ctx context.Context, header string, answer, body []byte) (*auditlog.RekorEntry, error) {
	if m := withIndex.FindSubmatch(answer); header == "" && m != nil {
		header = string(m[1])
	}
	index, err := strconv.ParseUint(header, 10, 53)
	if err != nil {
		return nil, c.fail(errAnswer, "", "it has the entry already, but doesn't say at which index")
	}
	const hint = "The entry is in the log already, and its proof is made from the log's tiles. If they aren't served at /api/v2/ below the server's URL, name their URL with --rekor-tiles."
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		raw, err := c.served(ctx, tile.Checkpoint)
		if err != nil {
			return nil, c.tilesFailed(ctx, err, hint)
		}
		checkpoint, err := auditlog.ParseRekorCheckpoint("", auditlog.RekorV2, raw)
		if err != nil {
			return nil, c.fail(errAnswer, hint, "the checkpoint's %v", err)
		}
		if _, err := c.log.VerifyCheckpoint(checkpoint); err != nil {
			return nil, c.fail(errKeyChanged, changedHint, "%v", err)
		}
		if checkpoint.Size > index {
			return c.proveV2(ctx, checkpoint, index, body, hint)
		}
		// The last checkpoint published doesn't cover it yet.
		if err := c.sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (c *Client) proveV2(ctx context.Context, checkpoint *auditlog.Checkpoint, index uint64, body []byte, hint string) (*auditlog.RekorEntry, error) {
	hashes, err := tile.Inclusion(ctx, c.tile, index, checkpoint.Size)
	if err != nil {
		return nil, c.tilesFailed(ctx, err, hint)
	}
	return &auditlog.RekorEntry{Body: body, LogID: c.log.ID(), Index: index, TreeIndex: index, Hashes: hashes, Checkpoint: checkpoint}, nil
}

// errNotServed is a file of the log's that is not there.
var errNotServed = errors.New("is not served")

// served reads one of the files of the log.
func (c *Client) served(ctx context.Context, name string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.tiles.JoinPath(name).String(), nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusNotFound {
		return nil, fmt.Errorf("%s: %w", name, errNotServed)
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return io.ReadAll(res.Body)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", name, errNotServed)
	}
	return nil, fmt.Errorf("%s: HTTP %d", name, res.StatusCode)
}

// tile reads the first n hashes of a tile. The log may have replaced a partial
// tile by the full one.
func (c *Client) tile(ctx context.Context, level, index uint64, n int) ([][32]byte, error) {
	name := tile.Path(level, index, n)
	data, err := c.served(ctx, name)
	if errors.Is(err, errNotServed) && n < tile.Width {
		name = tile.Path(level, index, tile.Width)
		data, err = c.served(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	if len(data)%32 != 0 || len(data) < n*32 {
		return nil, fmt.Errorf("%s: has %d bytes, %d hashes are in the tree", name, len(data), n)
	}
	row := make([][32]byte, n)
	for i := range row {
		row[i] = [32]byte(data[32*i:])
	}
	return row, nil
}

// tilesFailed keeps the kind of the error and adds what the tiles were needed for.
func (c *Client) tilesFailed(ctx context.Context, err error, hint string) error {
	e := c.transport(ctx, err)
	if e.Kind != context.Canceled && e.Kind != errTimeout {
		e.Err.Hint = hint
	}
	return e
}
