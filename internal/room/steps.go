package room

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// step does the step that comes after the fleet check. Each is what the command of
// its own does.
func (r *Room) step(ctx context.Context, j *engine.Journal) error {
	a := j.Account()
	s, _ := a.Next()
	if s.Act != ceremony.ActLockdown && s.Act != ceremony.ActRequest { // which show their own
		session.NewScreen(r.App).Step(a.Plan, a.StepNumber(), len(a.Steps), s)
	}
	switch s.Act {
	case ceremony.ActRelease:
		return r.release(ctx, j)
	case ceremony.ActRequest:
		return r.request(ctx, j)
	case ceremony.ActResponse:
		return r.response(j)
	case ceremony.ActCountersign:
		return r.countersign(ctx, j)
	case ceremony.ActLog:
		return r.log(ctx, j)
	case ceremony.ActDrill:
		return r.drill(j)
	case ceremony.ActLockdown:
		l := session.Lockdown{Site: r.Site, StandIn: *r.StandIn}
		return l.Do(ctx, r.App, j)
	case ceremony.ActClose:
		if err := r.accepted(); err != nil {
			return err
		}
		if _, err := closing.Close(j, nil); err != nil {
			var unfit strict.Errors
			if errors.As(err, &unfit) {
				return cli.Wrong(err)
			}
			return err
		}
		r.done(j, "closed over every file that will be published")
		return nil
	}
	return fmt.Errorf("the room has no act %q", s.Act)
}

// done says what a step has left, and with which record.
func (r *Room) done(j *engine.Journal, text string) {
	a := j.Account()
	r.App.UI.Say(r.App.UI.Talk.Step(ui.Done, text, fmt.Sprintf("record %d", a.N)), "\n", r.App.UI.Talk.Footer(session.RecordWords(a.N, a.Head)))
}

func (r *Room) release(ctx context.Context, j *engine.Journal) error {
	if list := j.Account().Unexcused(); len(list) > 0 && !r.StandIn.Unattended {
		return r.undecided(list)
	}
	if set, err := j.Account().Artifact(); err == nil {
		r.App.UI.Say(cli.DeltaText(r.App, nil, set, bundle.Diff(nil, set)), "\n")
	}
	if _, err := j.Build(ctx, r.Config.Participants); err != nil {
		return err
	}
	r.done(j, "the key set was read aloud and confirmed, and stands in "+ceremony.ArtifactFile)
	return nil
}

// showStep shows the header of a step that has an act.
func (r *Room) showStep(a *ceremony.Account, act ceremony.Act) {
	i := slices.IndexFunc(a.Steps, func(s ceremony.Step) bool { return s.Act == act })
	session.NewScreen(r.App).Step(a.Plan, i+1, len(a.Steps), a.Steps[i])
}

// request waits until the release is signed off, and officers approve what goes out.
func (r *Room) request(ctx context.Context, j *engine.Journal) error {
	r.showStep(j.Account(), ceremony.ActRelease)
	if err := r.accepted(); err != nil {
		return err
	}
	var unfit *engine.Unfit
	if _, err := j.PrepareRequest(r.Predecessor, r.Previous); errors.As(err, &unfit) {
		return cli.Wrong(strict.Errorf(r.Config.Dir, "%v", err).WithHint("nothing was written; see --predecessor and --previous-statement"))
	} else if err != nil {
		return err
	}
	if err := r.signedOff(ceremony.StageRelease, ceremony.ApproveRequest); err != nil {
		return err
	}
	r.showStep(j.Account(), ceremony.ActRequest)
	req, err := j.Request(ctx, r.Predecessor, r.Previous, r.approve)
	if err != nil {
		return err
	}
	r.done(j, "the request is on the record")
	return r.requestOut(req)
}

// requestOut puts the request where it is taken from. What a process that was ended
// in between has left undone, the response makes good.
func (r *Room) requestOut(req *bundle.Request) error {
	return cli.WriteSame(filepath.Join(r.Exchange, "request.json"), req.Raw())
}

// response waits for a third party's answer.
func (r *Room) response(j *engine.Journal) error {
	req, err := j.Request(context.Background(), nil, nil, nil) // on the record: it is given again
	if err != nil {
		return err
	}
	if err := r.requestOut(req); err != nil {
		return err
	}
	a := j.Account()
	r.say(fmt.Sprintf("The request is %s. Who signs it, on their own machine:", filepath.Join(r.Exchange, "request.json")))
	r.App.UI.Say(r.App.UI.Talk.Line("fleetctl thirdparty sign request.json --policy POLICY --ledger LEDGER --key KEY --out response.json"), "\n")
	for {
		absent := strings.Join(a.Absent(), ", ")
		file, data, err := r.wait(awaited{
			name:     "response",
			question: fmt.Sprintf("Step %d of %d. Answers: %d of %d. Not yet: %s. They come into %s; or where is one:", a.StepNumber(), len(a.Steps), len(a.Responses), a.Plan.Answers(), absent, r.Exchange),
			expected: "the answer of " + absent + ", such as response.json",
			is: func(file string, data []byte) bool {
				_, err := bundle.ParseAnswer(file, data, a.Plan.PartyKeys())
				return err == nil
			},
			unfit: func(file string, data []byte) string { return r.unfitAnswer(a, file, data) },
		})
		if err != nil {
			return err
		}
		answer, err := bundle.ParseAnswer(file, data, a.Plan.PartyKeys())
		if err != nil {
			return err // it was read a moment ago
		}
		party, err := j.ImportResponse(answer)
		var refused *engine.Refused
		switch {
		case errors.Is(err, ceremony.ErrAnswered), errors.As(err, &refused):
			r.notAgain(data)
			r.App.UI.Error(strict.Errorf(file, "%v", err).WithHint("keep the file and ask the third party; nothing was taken from it"))
			continue
		case errors.Is(err, bundle.ErrNotAsked): // such as another epoch's statement
			r.notAgain(data)
			r.App.UI.Error(err)
			continue
		case err != nil:
			return cli.Wrong(err)
		}
		r.notAgain(data)
		r.done(j, fmt.Sprintf("%s has signed, %s", party.Name, strict.FormatTime(answer.Statement.Time())))
		return nil
	}
}

func (r *Room) countersign(ctx context.Context, j *engine.Journal) error {
	if err := j.CountersignApproved(ctx, r.approve); err != nil {
		return err
	}
	if r.Operator == "" {
		return cli.Usagef("go on with the same command and\n--operator 'pkcs11:token=…;id=…?module-path=…'", "the operator's key has not been named")
	}
	k, err := signer.Open(r.App, r.Operator)
	if err != nil {
		return err
	}
	defer k.Close()
	var beside []engine.CountersignKey
	if q := j.Account().Plan.Countersigner.PostQuantum; q != nil {
		if r.OperatorPQ == "" {
			return cli.Usagef("go on with the same command and\n--operator-pq 'pkcs11:token=…;id=…?module-path=…'", "the operator's post-quantum key, which the plan names, has not been named")
		}
		p, err := signer.OpenPostQuantum(r.App, r.OperatorPQ, k)
		if err != nil {
			return err
		}
		defer p.Close()
		beside = []engine.CountersignKey{{Public: p.Public, Sign: p.For(keys.ForCountersignature)}}
	}
	if err := j.Countersign(ctx, nil, k.Public, k.For(keys.ForCountersignature), beside...); err != nil {
		return err
	}
	r.done(j, j.Account().Plan.Countersigner.Name+" has countersigned, and it verifies in software")
	return nil
}

func (r *Room) log(ctx context.Context, j *engine.Journal) error {
	if _, err := j.Assemble(ctx, r.Config.Participants); err != nil {
		return cli.Usage(err)
	}
	var file string
	var proof []byte
	var err error
	if r.Log != nil {
		file = ceremony.ProofFile
		proof, err = r.Log(ctx, j)
	} else {
		r.say("The bundle is " + filepath.Join(r.Config.Dir, ceremony.BundleFile) + ". Carry it to the log, and its proof back.")
		a := j.Account()
		file, proof, err = r.wait(awaited{
			name:     "proof",
			question: fmt.Sprintf("Step %d of %d. The log's proof comes into %s; or where is it:", a.StepNumber(), len(a.Steps), r.Exchange),
			expected: "the log's proof of the bundle, such as " + ceremony.ProofFile,
			is:       func(_ string, data []byte) bool { return isProof(data) },
			unfit:    func(file string, data []byte) string { return r.unfitProof(a, file, data) },
		})
	}
	if err != nil {
		return err
	}
	in, err := j.ImportProof(file, proof)
	if err != nil {
		if r.Log == nil { // another proof may come
			r.notAgain(proof)
			r.App.UI.Error(err)
			return nil
		}
		return cli.Wrong(err)
	}
	r.done(j, fmt.Sprintf("logged as entry %d of %d, %s", in.Index, in.Size, in.Origin))
	return nil
}
