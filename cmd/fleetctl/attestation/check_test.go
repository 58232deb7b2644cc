package attestation

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/cli"
)

func TestACertificateThatEndedSinceIsToldAndJudgedAtItsTime(t *testing.T) {
	anchors := filepath.Join(t.TempDir(), "anchors.yaml")
	if err := os.WriteFile(anchors, attest.Shipped(), 0o600); err != nil {
		t.Fatal(err)
	}
	card := "../../../attest/yubikey/testdata/yubikey-docker-tuf/25515003/"
	check := func(clock time.Time, args ...string) (int, string) {
		var out, talk bytes.Buffer
		a := cli.New(strings.NewReader(""), &out, &talk)
		a.Now = func() time.Time { return clock }
		root := &cobra.Command{Use: "fleetctl", SilenceErrors: true, SilenceUsage: true, PersistentPreRunE: func(*cobra.Command, []string) error { return a.SetUp() }}
		a.Flags(root.PersistentFlags())
		root.AddCommand(Group(a))
		code := a.Run(context.Background(), root, append([]string{"attestation", "check", "--device", "yubikey-piv", "--anchors", anchors,
			"attestation=" + card + "Slot9CAttestation.pem", "certificates=" + card + "SlotF9Intermediate.pem"}, args...))
		return code, out.String() + talk.String()
	}
	late := time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		clock time.Time
		args  []string
		want  string
	}{
		{late, []string{"--time", "2026-11-21T10:00:00Z"}, "valid until         2052-04-17T00:00:00Z (ENDED since)\n"},
		{late, []string{"--time", "2026-11-21T10:00:00Z", "--format", "json"}, "\"ended\": true"},
		{late, nil, "not at 2060-01-01T00:00:00Z"},
		{late.AddDate(-20, 0, 0), nil, "valid until         2052-04-17T00:00:00Z\n"},
		{late.AddDate(-20, 0, 0), []string{"--format", "json"}, "\"ended\": false"},
	} {
		// No key was named, so the answer is no in any case.
		if code, out := check(c.clock, c.args...); code != cli.ExitWrong || !strings.Contains(out, c.want) {
			t.Errorf("%s %q: exit code %d\n%s", c.clock, c.args, code, out)
		}
	}
}
