package ceremony

import (
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Kind says what a record is about.
type Kind string

// The kinds of record. The struct of the same name is the kind's schema, which is
// closed: no other fields are accepted.
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
	KindDrill            Kind = "drill"
	KindLockdown         Kind = "lockdown"
	KindRetirement       Kind = "retirement"
	KindTarget           Kind = "target"
	KindDestroyIntent    Kind = "destroy-intent"
	KindDestruction      Kind = "destruction"
	KindGone             Kind = "gone"
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

var kinds = sync.OnceValue(func() map[Kind]kindInfo {
	return map[Kind]kindInfo{
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
		KindDrill:            {make: func() any { return new(Drill) }},
		KindLockdown:         {make: func() any { return new(Lockdown) }},
		KindRetirement:       {make: func() any { return new(Retirement) }},
		KindTarget:           {make: func() any { return new(Target) }},
		KindDestroyIntent:    {make: func() any { return new(DestroyIntent) }},
		KindDestruction:      {make: func() any { return new(Destruction) }},
		KindGone:             {make: func() any { return new(Gone) }},
		KindException:        {make: func() any { return new(Exception) }},
		KindAdjourn:          {make: func() any { return new(Adjourn) }},
		KindReconvene:        {make: func() any { return new(Reconvene) }},
		KindResume:           {make: func() any { return new(Resume) }},
		KindAbort:            {make: func() any { return new(Abort) }},
		KindClose:            {make: func() any { return new(Close) }},
	}
})

// Kinds are all kinds of records, in the order of their names.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds())) }

// Content returns an empty content of the kind; nil if there is no such kind.
func (k Kind) Content() any {
	if info, ok := kinds()[k]; ok {
		return info.make()
	}
	return nil
}

// Restricted says whether a record of the kind may be published without its body.
// What is shown of it to everybody must be the same with the body and without it.
func (k Kind) Restricted() bool { return kinds()[k].restricted }

var kindByType = sync.OnceValue(func() map[reflect.Type]Kind {
	m := map[reflect.Type]Kind{}
	for k, info := range kinds() {
		m[reflect.TypeOf(info.make())] = k
	}
	return m
})

func kindOf(content any) (Kind, bool) {
	k, ok := kindByType()[reflect.TypeOf(content)]
	return k, ok
}

// Open begins a ceremony. The witness chooses its words on the spot, so that no later
// record can have been made beforehand.
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

// Reading is what a person read off a clock or a seal in the room, and typed.
type Reading struct {
	What      string `strict:"what"` // clock, seal
	HSM       string `strict:"hsm,token,optional"`
	Value     string `strict:"value"`
	By        string `strict:"by"`
	Confirmed string `strict:"confirmed,optional"` // the second person, who typed the same
}

// The values of Reading.What.
const (
	ReadClock = "clock"
	ReadSeal  = "seal"
)

// Challenge records that people compared a digest: one reads its words aloud from one
// screen, another types those at some positions, chosen at random on the spot.
type Challenge struct {
	What      string   `strict:"what"` // plan, key, fleet, key-set, bundle
	Intent    int      `strict:"intent,optional"`
	Subject   [32]byte `strict:"subject,hex"`
	Positions []int    `strict:"positions"` // of the words typed, from 1
	Tries     int      `strict:"tries"`
	By        string   `strict:"by"`
}

// The values of Challenge.What.
const (
	ChallengePlan   = "plan"
	ChallengeKey    = "key"
	ChallengeFleet  = "fleet"
	ChallengeKeySet = "key-set"
	ChallengeBundle = "bundle"
)

// Intake is what an HSM reports about itself before it is unlocked (CK_TOKEN_INFO and
// CK_INFO, PKCS#11 2.40, 3.1 and 3.2).
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

// Unlock is a login: how the PIN was entered and what the token answered.
type Unlock struct {
	HSM    string `strict:"hsm,token"`
	Method string `strict:"method"`
	Result string `strict:"result"` // ok, refused, or the return code
}

// Inventory lists a token's objects before a key is generated: there must be none. Where
// keys are destroyed, it lists what there is before.
type Inventory struct {
	HSM     string   `strict:"hsm,token"`
	Objects []Object `strict:"objects"`
}

// Object is one object on a token.
type Object struct {
	Class string `strict:"class,token"`
	ID    []byte `strict:"id,hex,empty"`
}

// Intent is written before a key is generated. A CKA_ID that an intent names is never
// used for another key.
type Intent struct {
	HSM       string    `strict:"hsm,token"`
	Role      string    `strict:"role,token"`
	Algorithm Algorithm `strict:"algorithm,token"`
	ID        []byte    `strict:"cka_id,hex"`
	Label     string    `strict:"label"`
	Template  []Setting `strict:"template"`
}

// Setting is an attribute of a template: its Name, and its Value, true or false.
type Setting = token.Setting

// Outcome says what came of an intent.
type Outcome struct {
	Intent    int      `strict:"intent"`
	Result    string   `strict:"result"`          // generated, failed, destroyed
	Reason    string   `strict:"reason,optional"` // the return code, or the check that failed
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

// Attributes are the attributes of a key's two halves as they were read back.
type Attributes struct {
	Intent  int         `strict:"intent"`
	Private []Attribute `strict:"private"`
	Public  []Attribute `strict:"public"`
}

// Attribute is one attribute as it was read back, or the return code in its place.
type Attribute struct {
	Name  string `strict:"name,token"`
	Value string `strict:"value,optional"`
	Code  string `strict:"code,optional"`
}

// NegativeTest lists the attempts to take a key out of its HSM. If one that makes the
// key weaker succeeds and the plan tolerates that, the others are made again, and
// the key is set back: Relaxed has these.
type NegativeTest struct {
	Intent   int       `strict:"intent"`
	Attempts []Attempt `strict:"attempts"`
	Relaxed  *Relaxed  `strict:"relaxed,optional"`
}

// Relaxed is what was tried and read while a key was weaker than planned.
type Relaxed struct {
	Names    []string    `strict:"names,token"` // the attempts that succeeded
	While    []Attribute `strict:"while"`       // of the private half
	Attempts []Attempt   `strict:"attempts"`    // made again
	Restored []Attempt   `strict:"restored"`    // one for each of names: setting its attribute back
	After    []Attribute `strict:"after"`       // of the private half
}

// Attempt is one attempt: the call that decided it, and that call's return code.
// Unstaged says that it could not be made on this token.
type Attempt struct {
	Name     string `strict:"name,token"`
	Call     string `strict:"call,token"`
	Code     string `strict:"code"`
	Unstaged bool   `strict:"unstaged,optional"`
}

// Possession is the key's answer to its nonce: a signature by a key that signs, or by
// a key that agrees an answer made from its secret with [AgreementPeer]'s peer.
type Possession struct {
	Intent    int      `strict:"intent"`
	Signature []byte   `strict:"signature,base64,optional"`
	Answer    [32]byte `strict:"answer,hex,optional"`
}

// Found is what a new process found on the token: the key, and all objects.
type Found struct {
	Intent    int      `strict:"intent"`
	PublicKey [32]byte `strict:"public_key,hex"` // SHA-256 of the SPKI found
	Objects   []Object `strict:"objects"`
}

// FleetCheck is the matrix of results: a row for each HSM, a column for each check.
type FleetCheck struct {
	Checks   []string `strict:"checks,token"`
	Rows     []Row    `strict:"rows"`
	Firmware string   `strict:"firmware"`
	Majority int      `strict:"majority"`
}

// Row has one HSM's results, in the order of FleetCheck.Checks.
type Row struct {
	HSM     string   `strict:"hsm,token"`
	Results []string `strict:"results,token"`
}

// Release names the artifact that may leave the room.
type Release struct {
	Artifact [32]byte `strict:"artifact,hex"`
}

// Request names the core of the request that goes to the third parties, and lists
// every file of people's signatures so far.
type Request struct {
	Core  [32]byte `strict:"core,hex"`
	Files []File   `strict:"files"`
}

// Response is a third party's verified statement. The bundle doesn't hold one that
// comes after the countersignature.
type Response struct {
	Key       [32]byte `strict:"key,base64"`
	Statement []byte   `strict:"statement,base64"`
	// Addition is its signature by the plan's post-quantum key; absent where the plan
	// names none.
	Addition []byte `strict:"addition,base64,optional"`
}

// Refusal keeps, unchanged, an answer that was refused. If its statement is valid and
// about a second artifact, it proves that the third party equivocated.
type Refusal struct {
	Key       [32]byte `strict:"key,base64"`
	Statement []byte   `strict:"statement,base64"`
	Reason    string   `strict:"reason"`
}

// Countersignature is the operator's signature. It lists every file of people's
// signatures so far: the bundle names this record, so the bundle's log entry shows
// that all of them existed by then.
type Countersignature struct {
	Key       []byte `strict:"key,base64"`
	Form      string `strict:"form"`
	Signature []byte `strict:"signature,base64"`
	// PostQuantum is the signature by the plan's post-quantum key; absent where the plan
	// names none.
	PostQuantum []byte `strict:"post_quantum,base64,optional"`
	Files       []File `strict:"files"`
}

// LogProof has the SHA-256 of the bundle and of the proof that it is in the log.
type LogProof struct {
	Bundle [32]byte `strict:"bundle,hex"`
	Proof  [32]byte `strict:"proof,hex"`
}

// Lockdown says that one entry of the plan's lockdown was done. For an entry done by
// hand, Reading is what people read off media, cards or bags. For a login, Before and
// Code are the return codes that the same process got for the same PIN before and
// after the lock-down; if nothing could be shown, Reading says why.
type Lockdown struct {
	Number    int    `strict:"number"` // of the entry, from 1
	Text      string `strict:"text"`   // the entry, as planned
	Reading   string `strict:"reading,optional"`
	Before    string `strict:"before,optional"`
	Code      string `strict:"code,optional"`
	By        string `strict:"by"`
	Confirmed string `strict:"confirmed"`
}

// Exception is something that went otherwise than planned. The threshold of officers
// must accept it, by its number.
type Exception struct {
	Number   int    `strict:"number"` // 1, 2, …
	Expected string `strict:"expected"`
	Happened string `strict:"happened"`
	Decided  string `strict:"decided"`
	// Absent are the plan's witnesses and auditors who give no verdict on the next
	// stage.
	Absent []string `strict:"absent,token,optional"`
	// Attestations are the numbers of the attestation records whose problems it is
	// about.
	Attestations []int `strict:"attestations,optional"`
	// Unreached are claims that the operator's own policy demands and that this
	// ceremony can't reach; people decided to go on without them.
	Unreached []string `strict:"unreached,token,optional"`
	Clock     *Clock   `strict:"clock,optional"`
	// Version and Binary, its SHA-256, are there if people decided that another program
	// goes on.
	Version string   `strict:"version,optional"`
	Binary  [32]byte `strict:"binary,hex,optional"`
	Torn    int      `strict:"torn,optional"` // bytes of a record that was never finished
}

// Adjourn interrupts a ceremony deliberately, and lists what is sealed.
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

// Resume goes on after an interruption that nobody planned: a crash, a power cut.
type Resume struct {
	Since  time.Time `strict:"since"`             // the last record's time
	Torn   int       `strict:"torn"`              // bytes of a record that was never finished
	Kept   [32]byte  `strict:"kept,hex,optional"` // SHA-256 of those bytes, which are kept in a file
	Intent int       `strict:"intent,optional"`   // the intent that was open
	// Version and Binary, its SHA-256, are there if another program goes on than ran
	// before.
	Version string   `strict:"version,optional"`
	Binary  [32]byte `strict:"binary,hex,optional"`
}

// Abort ends a ceremony that can't be finished, and says what became of every key
// that was not destroyed before.
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
	State string `strict:"state"` // destroyed, absent, or "not destroyed: " and why
}

// Close ends a ceremony. It lists every file of the package, so people who sign its
// hash sign all of them.
type Close struct {
	Files []File `strict:"files"`
}

// File is one file of the package.
type File struct {
	Path   string   `strict:"path"`
	SHA256 [32]byte `strict:"sha256,hex"`
}
