package ceremony

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Kind names what a record reports.
type Kind string

// The kinds of record, each with the closed schema of the struct named like it.
const (
	KindOpen             Kind = "open"
	KindReading          Kind = "reading"
	KindChallenge        Kind = "challenge"
	KindIntake           Kind = "intake"
	KindUnlock           Kind = "unlock"
	KindInventory        Kind = "inventory"
	KindIntent           Kind = "intent"
	KindOutcome          Kind = "outcome"
	KindAttributes       Kind = "attributes"
	KindNegativeTest     Kind = "negative-test"
	KindPossession       Kind = "possession"
	KindAgreementPeer    Kind = "agreement-peer"
	KindAgreementOpened  Kind = "agreement-opened"
	KindFound            Kind = "found"
	KindAttestation      Kind = "attestation"
	KindFleetCheck       Kind = "fleet-check"
	KindRelease          Kind = "release"
	KindRequest          Kind = "request"
	KindResponse         Kind = "response"
	KindRefusal          Kind = "refusal"
	KindCountersignature Kind = "countersignature"
	KindLogProof         Kind = "log-proof"
	KindLockdown         Kind = "lockdown"
	KindException        Kind = "exception"
	KindAdjourn          Kind = "adjourn"
	KindReconvene        Kind = "reconvene"
	KindResume           Kind = "resume"
	KindAbort            Kind = "abort"
	KindClose            Kind = "close"
)

type kindInfo struct {
	restricted bool // may be withheld; no claim may rest on it
	make       func() any
}

var kinds = map[Kind]kindInfo{
	KindOpen:             {make: func() any { return new(Open) }},
	KindReading:          {make: func() any { return new(Reading) }},
	KindChallenge:        {make: func() any { return new(Challenge) }},
	KindIntake:           {make: func() any { return new(Intake) }},
	KindUnlock:           {make: func() any { return new(Unlock) }, restricted: true},
	KindInventory:        {make: func() any { return new(Inventory) }},
	KindIntent:           {make: func() any { return new(Intent) }},
	KindOutcome:          {make: func() any { return new(Outcome) }},
	KindAttributes:       {make: func() any { return new(Attributes) }},
	KindNegativeTest:     {make: func() any { return new(NegativeTest) }},
	KindPossession:       {make: func() any { return new(Possession) }},
	KindAgreementPeer:    {make: func() any { return new(AgreementPeer) }},
	KindAgreementOpened:  {make: func() any { return new(AgreementOpened) }},
	KindFound:            {make: func() any { return new(Found) }},
	KindAttestation:      {make: func() any { return new(Attestation) }},
	KindFleetCheck:       {make: func() any { return new(FleetCheck) }},
	KindRelease:          {make: func() any { return new(Release) }},
	KindRequest:          {make: func() any { return new(Request) }},
	KindResponse:         {make: func() any { return new(Response) }},
	KindRefusal:          {make: func() any { return new(Refusal) }},
	KindCountersignature: {make: func() any { return new(Countersignature) }},
	KindLogProof:         {make: func() any { return new(LogProof) }},
	KindLockdown:         {make: func() any { return new(Lockdown) }},
	KindException:        {make: func() any { return new(Exception) }},
	KindAdjourn:          {make: func() any { return new(Adjourn) }},
	KindReconvene:        {make: func() any { return new(Reconvene) }},
	KindResume:           {make: func() any { return new(Resume) }},
	KindAbort:            {make: func() any { return new(Abort) }},
	KindClose:            {make: func() any { return new(Close) }},
}

// Kinds are all kinds of records, in the order of their names.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }

// Content is an empty content of the kind; nil where there is no such kind.
func (k Kind) Content() any {
	if info, ok := kinds[k]; ok {
		return info.make()
	}
	return nil
}

// Restricted says whether a record of the kind may be withheld. What is shown
// of it to everybody must be the same either way.
func (k Kind) Restricted() bool { return kinds[k].restricted }

var kindByType = func() map[reflect.Type]Kind {
	m := map[reflect.Type]Kind{}
	for k, info := range kinds {
		m[reflect.TypeOf(info.make())] = k
	}
	return m
}()

func kindOf(content any) (Kind, bool) {
	k, ok := kindByType[reflect.TypeOf(content)]
	return k, ok
}

// Open begins a ceremony. Its words are chosen by the witness on the spot, so
// that nothing that follows from this record can have been made beforehand.
type Open struct {
	Ceremony  string   `strict:"ceremony,token"`
	Mode      string   `strict:"mode"`
	Fleet     string   `strict:"fleet,token"`
	Namespace string   `strict:"namespace,token"`
	Epoch     uint64   `strict:"epoch"`
	Version   string   `strict:"version"`
	Binary    [32]byte `strict:"binary,hex"`
	Words     []string `strict:"words,token"`
	ChosenBy  string   `strict:"chosen_by"` // witness, or machine in a rehearsal
}

// Reading is what a person read off something in the room and typed.
type Reading struct {
	What string `strict:"what"` // clock, seal
	HSM  string `strict:"hsm,token,optional"`
	// Value is what was typed; Confirmed says that a second person typed the
	// same.
	Value     string `strict:"value"`
	By        string `strict:"by"`
	Confirmed string `strict:"confirmed,optional"`
}

// What can be read in a room.
const (
	ReadClock = "clock"
	ReadSeal  = "seal"
)

// Challenge is words of a digest that were read aloud from one screen and
// typed from another, at positions chosen at random on the spot.
type Challenge struct {
	What      string   `strict:"what"` // plan, key, fleet, key-set, bundle
	Intent    int      `strict:"intent,optional"`
	Subject   [32]byte `strict:"subject,hex"`
	Positions []int    `strict:"positions"` // of words, from 1
	Tries     int      `strict:"tries"`
	By        string   `strict:"by"`
}

// What is read aloud: digests, all of their words.
const (
	ChallengePlan   = "plan"
	ChallengeKey    = "key"
	ChallengeFleet  = "fleet"
	ChallengeKeySet = "key-set"
	ChallengeBundle = "bundle"
)

// Intake is what an HSM says of itself before it is unlocked.
type Intake struct {
	HSM          string   `strict:"hsm,token"`
	Serial       string   `strict:"serial"`
	Manufacturer string   `strict:"manufacturer,empty"`
	Model        string   `strict:"model,empty"`
	Hardware     string   `strict:"hardware"`
	Firmware     string   `strict:"firmware"`
	Library      string   `strict:"library"`
	Module       [32]byte `strict:"module,hex"` // SHA-256 of the PKCS#11 library
}

// Unlock is a login: how the PIN came and what the token answered.
type Unlock struct {
	HSM    string `strict:"hsm,token"`
	Method string `strict:"method"`
	Result string `strict:"result"` // ok, or the return code
}

// Inventory is what a token holds before anything is generated: nothing.
type Inventory struct {
	HSM     string   `strict:"hsm,token"`
	Objects []Object `strict:"objects"`
}

// Object is one object on a token.
type Object struct {
	Class string `strict:"class,token"`
	ID    []byte `strict:"id,hex,empty"`
}

// Intent comes before a key is generated, and names its CKA_ID for good.
type Intent struct {
	HSM       string    `strict:"hsm,token"`
	Role      string    `strict:"role,token"`
	Algorithm Algorithm `strict:"algorithm,token"`
	ID        []byte    `strict:"cka_id,hex"`
	Label     string    `strict:"label"`
	Template  []Setting `strict:"template"`
}

// Setting is an attribute asked for: Name, and a Value that is true or false.
type Setting = token.Setting

// Outcome is what came of an intent.
type Outcome struct {
	Intent    int      `strict:"intent"`
	Result    string   `strict:"result"`          // generated, failed, destroyed
	Reason    string   `strict:"reason,optional"` // return code or failed check
	Mechanism string   `strict:"mechanism,optional"`
	PublicKey []byte   `strict:"public_key,base64,optional"` // SPKI
	Dropped   []string `strict:"dropped,token,optional"`
}

// The results of an Outcome.
const (
	Generated = "generated"
	Failed    = "failed"
	Destroyed = "destroyed"
)

// Attributes are those of a key's two halves as read back.
type Attributes struct {
	Intent  int         `strict:"intent"`
	Private []Attribute `strict:"private"`
	Public  []Attribute `strict:"public"`
}

// Attribute is one attribute read back, or the return code that came instead.
type Attribute struct {
	Name  string `strict:"name,token"`
	Value string `strict:"value,optional"`
	Code  string `strict:"code,optional"`
}

// NegativeTest is every try to take the key out. Where one to make it weaker
// succeeded and the plan tolerates that, it is over only when the others were
// made again and the key is back as it was.
type NegativeTest struct {
	Intent   int       `strict:"intent"`
	Attempts []Attempt `strict:"attempts"`
	Relaxed  *Relaxed  `strict:"relaxed,optional"`
}

// Relaxed is what was seen of a key as long as it was weaker than planned.
type Relaxed struct {
	Names    []string    `strict:"names,token"` // the attempts that succeeded
	While    []Attribute `strict:"while"`       // of the private half
	Attempts []Attempt   `strict:"attempts"`    // made again
	Restored []Attempt   `strict:"restored"`    // setting back what each of names had set
	After    []Attribute `strict:"after"`       // of the private half
}

// Attempt is one of them.
type Attempt struct {
	Name     string `strict:"name,token"`
	Call     string `strict:"call,token"`
	Code     string `strict:"code"`
	Unstaged bool   `strict:"unstaged,optional"`
}

// Possession is the key's own answer to its nonce: of a key that signs a signature,
// of one that agrees what [AgreementPeer]'s peer makes of it.
type Possession struct {
	Intent    int      `strict:"intent"`
	Signature []byte   `strict:"signature,base64,optional"`
	Answer    [32]byte `strict:"answer,hex,optional"`
}

// Found is the token seen by a new process: the key is there, and nothing else
// that wasn't there before.
type Found struct {
	Intent    int      `strict:"intent"`
	PublicKey [32]byte `strict:"public_key,hex"` // SHA-256 of the SPKI found
	Objects   []Object `strict:"objects"`
}

// FleetCheck is the matrix HSM × check.
type FleetCheck struct {
	Checks   []string `strict:"checks,token"`
	Rows     []Row    `strict:"rows"`
	Firmware string   `strict:"firmware"`
	Majority int      `strict:"majority"`
}

// Row is one HSM's line in the matrix.
type Row struct {
	HSM     string   `strict:"hsm,token"`
	Results []string `strict:"results,token"`
}

// Release names the artifact that may leave the room.
type Release struct {
	Artifact [32]byte `strict:"artifact,hex"`
}

// Request names what goes to the third parties, and every signature of people
// that led to it.
type Request struct {
	Core  [32]byte `strict:"core,hex"`
	Files []File   `strict:"files"`
}

// Response is a third party's verified statement. One that comes after the
// countersignature is on the record and not in the bundle.
type Response struct {
	Key       [32]byte `strict:"key,base64"`
	Statement []byte   `strict:"statement,base64"`
}

// Refusal is an answer that was brought and not taken, as it was: where the
// statement is a good one of a second artifact, it proves equivocation.
type Refusal struct {
	Key       [32]byte `strict:"key,base64"`
	Statement []byte   `strict:"statement,base64"`
	Reason    string   `strict:"reason"`
}

// Countersignature is the operator's. It lists every signature of people so far:
// the bundle names this record, so that the bundle's log entry dates them all.
type Countersignature struct {
	Key       []byte `strict:"key,base64"`
	Form      string `strict:"form"`
	Signature []byte `strict:"signature,base64"`
	Files     []File `strict:"files"`
}

// LogProof names the bundle and the proof that it is in the log.
type LogProof struct {
	Bundle [32]byte `strict:"bundle,hex"`
	Proof  [32]byte `strict:"proof,hex"`
}

// Lockdown is one entry of the plan's list done: what was read off media, cards
// and bags, or the code by which a token refused a login. Of a login, Before is
// what the same process was answered to the same PIN before the lock-down; without
// both codes nothing was shown, and Reading says why.
type Lockdown struct {
	Number    int    `strict:"number"` // of the entry, from 1
	Text      string `strict:"text"`   // the entry, as planned
	Reading   string `strict:"reading,optional"`
	Before    string `strict:"before,optional"`
	Code      string `strict:"code,optional"`
	By        string `strict:"by"`
	Confirmed string `strict:"confirmed"`
}

// Exception is something that went otherwise than planned and that m officers
// accept, by number.
type Exception struct {
	Number   int    `strict:"number"` // 1, 2, …
	Expected string `strict:"expected"`
	Happened string `strict:"happened"`
	Decided  string `strict:"decided"`
	// Absent are the plan's witnesses and auditors who give no verdict on the
	// stage that comes next.
	Absent []string `strict:"absent,token,optional"`
	// Attestations are the records of those whose problems it is about.
	Attestations []int `strict:"attestations,optional"`
	// Unreached are claims that the operator's own policy demands and this ceremony
	// can't reach: people began it all the same.
	Unreached []string `strict:"unreached,token,optional"`
	Clock     *Clock   `strict:"clock,optional"`
	Torn      int      `strict:"torn,optional"` // bytes of a record that was never finished
}

// Adjourn interrupts a ceremony as planned: who holds what, under which seal.
type Adjourn struct {
	Reason string `strict:"reason"`
	Seals  []Seal `strict:"seals"`
}

// Reconvene goes on after an adjournment, with the seals as they were found.
type Reconvene struct {
	Seals []Seal `strict:"seals"`
}

// Seal is the number on a bag or a box.
type Seal struct {
	What   string `strict:"what"`
	Number string `strict:"number"`
}

// Resume goes on after an end that nobody planned: a crash, a power cut.
type Resume struct {
	Since  time.Time `strict:"since"`             // the last record's time
	Torn   int       `strict:"torn"`              // bytes of a record that was never finished
	Kept   [32]byte  `strict:"kept,hex,optional"` // SHA-256 of those bytes, kept aside
	Intent int       `strict:"intent,optional"`   // the intent that was open
	// Another program than the one before goes on: its version and its SHA-256. Both
	// are absent where it is the same.
	Version string   `strict:"version,optional"`
	Binary  [32]byte `strict:"binary,hex,optional"`
}

// Abort ends a ceremony that can't be finished, and says what became of every
// key that it made.
type Abort struct {
	Reason string     `strict:"reason"`
	Keys   []KeyState `strict:"keys"`
	Torn   int        `strict:"torn,optional"` // bytes of a record that was never finished
}

// KeyState is what became of a key.
type KeyState struct {
	HSM   string `strict:"hsm,token"`
	Role  string `strict:"role,token"`
	ID    []byte `strict:"cka_id,hex"`
	State string `strict:"state"` // destroyed, absent, or why it is still there
}

// Close ends a ceremony: its hash is what people sign, and with it every file.
type Close struct {
	Files []File `strict:"files"`
}

// File is one file of the package.
type File struct {
	Path   string   `strict:"path"`
	SHA256 [32]byte `strict:"sha256,hex"`
}
