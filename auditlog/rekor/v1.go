package rekor

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"path"
	"time"

	"github.com/go-openapi/runtime"
	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	"github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/sigstore/rekor/pkg/generated/client/pubkey"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	dsse "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// v1 is rekor's own client over our HTTP client. The HTTP client of rekor's own
// constructor repeats requests that may not be safe to repeat, and reads answers
// without a limit.
func (c *Client) v1() *client.Rekor {
	rt := httptransport.NewWithClient(c.base.Host, trim(c.base)+client.DefaultBasePath, []string{c.base.Scheme}, c.http)
	rt.Consumers["application/json"] = runtime.JSONConsumer()
	rt.Consumers["application/x-pem-file"] = runtime.TextConsumer()
	rt.Producers["application/json"] = runtime.JSONProducer()
	return client.New(rt, strfmt.Default)
}

func (c *Client) addV1(ctx context.Context, envelope []byte, submitter *keys.Public) (*auditlog.RekorEntry, bool, error) {
	api := c.v1()
	// The key is asked for before an entry is submitted: a log that has lost its
	// key would take the entry and sign with another.
	key, err := api.Pubkey.GetPublicKeyContext(ctx, pubkey.NewGetPublicKeyParamsWithTimeout(c.timeout))
	if err != nil {
		return nil, false, c.openAPI(ctx, err)
	}
	if !c.log.SameKey(key.Payload) {
		return nil, false, c.fail(errKeyChanged, changedHint, "the server gives a key that is not %s", c.log.VKey())
	}
	proposed, err := dsse.V001Entry{}.CreateFromArtifactProperties(ctx, types.ArtifactProperties{
		ArtifactBytes:  envelope,
		PublicKeyBytes: [][]byte{pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: submitter.SPKI()})},
	})
	if err != nil {
		return nil, false, c.fail(errRefused, "", "rekor's own library does not take the envelope: %v", err)
	}
	params := entries.NewCreateLogEntryParamsWithTimeout(c.timeout)
	params.SetProposedEntry(proposed)
	created, err := api.Entries.CreateLogEntryContext(ctx, params)
	var conflict *entries.CreateLogEntryConflict
	switch {
	case errors.As(err, &conflict):
		e, err := c.existingV1(ctx, api, path.Base(conflict.Location.String()))
		return e, true, err
	case err != nil:
		return nil, false, c.openAPI(ctx, err)
	}
	e, err := c.entryV1(created.Payload)
	return e, false, err
}

// existingV1 fetches an entry that the log has. The server answers "not found" for
// an entry that it took a moment ago and hasn't put into the tree yet.
func (c *Client) existingV1(ctx context.Context, api *client.Rekor, uuid string) (*auditlog.RekorEntry, error) {
	if _, err := hex.DecodeString(uuid); err != nil || len(uuid) < 64 {
		return nil, c.fail(errAnswer, "", "it has the entry already, but doesn't say at which index")
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		params := entries.NewGetLogEntryByUUIDParamsWithTimeout(c.timeout)
		params.SetEntryUUID(uuid)
		got, err := api.Entries.GetLogEntryByUUIDContext(ctx, params)
		var absent *entries.GetLogEntryByUUIDNotFound
		var status *statusError // its 404 has no body
		switch {
		case err == nil:
			return c.entryV1(got.Payload)
		case !errors.As(err, &absent) && !(errors.As(err, &status) && status.code == http.StatusNotFound):
			return nil, c.openAPI(ctx, err)
		}
		if err := c.sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// entryV1 takes an answer apart. Here its fields only have to be there; they are
// verified later.
func (c *Client) entryV1(payload models.LogEntry) (*auditlog.RekorEntry, error) {
	bad := func(what string) (*auditlog.RekorEntry, error) { return nil, c.fail(errAnswer, "", "%s", what) }
	if len(payload) != 1 {
		return bad("not exactly one entry")
	}
	var a models.LogEntryAnon
	for _, a = range payload {
	}
	text, ok := a.Body.(string)
	body, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return bad("an entry without a body in base64")
	}
	if a.IntegratedTime == nil || a.LogID == nil || a.LogIndex == nil || *a.LogIndex < 0 || a.Verification == nil || a.Verification.InclusionProof == nil {
		return bad("an entry without time, log id, index or proof")
	}
	p := a.Verification.InclusionProof
	if p.Checkpoint == nil || p.LogIndex == nil || *p.LogIndex < 0 {
		return bad("a proof without checkpoint or index")
	}
	id, err := hex.DecodeString(*a.LogID)
	if err != nil || len(id) != 32 {
		return bad("a log id that is no SHA-256")
	}
	raw := make([][]byte, len(p.Hashes))
	for i, h := range p.Hashes {
		if raw[i], err = hex.DecodeString(h); err != nil {
			return bad("a hash that is no hex")
		}
	}
	hashes, ok := hashesOf(raw)
	if !ok {
		return bad("a hash that is no SHA-256")
	}
	checkpoint, err := auditlog.ParseRekorCheckpoint("", auditlog.RekorV1, []byte(*p.Checkpoint))
	if err != nil {
		return bad("the checkpoint's " + err.Error())
	}
	return &auditlog.RekorEntry{
		Body: body, LogID: [32]byte(id), Index: uint64(*a.LogIndex), Integrated: time.Unix(*a.IntegratedTime, 0).UTC(),
		TreeIndex: uint64(*p.LogIndex), Hashes: hashes, Checkpoint: checkpoint, SET: a.Verification.SignedEntryTimestamp,
	}, nil
}

// openAPI makes an error of ours from one of rekor's client.
func (c *Client) openAPI(ctx context.Context, err error) *serverError {
	var bad *entries.CreateLogEntryBadRequest
	if errors.As(err, &bad) {
		return c.status(http.StatusBadRequest, says(bad.Payload))
	}
	var other *entries.CreateLogEntryDefault
	if errors.As(err, &other) {
		return c.status(other.Code(), says(other.Payload))
	}
	var get *entries.GetLogEntryByUUIDDefault
	if errors.As(err, &get) {
		return c.status(get.Code(), says(get.Payload))
	}
	var key *pubkey.GetPublicKeyDefault
	if errors.As(err, &key) {
		return c.status(key.Code(), says(key.Payload))
	}
	var api *runtime.APIError
	if errors.As(err, &api) {
		return c.status(api.Code, http.StatusText(api.Code))
	}
	return c.transport(ctx, err)
}

func says(e *models.Error) string {
	if e == nil {
		return "no reason given"
	}
	return e.Message
}
