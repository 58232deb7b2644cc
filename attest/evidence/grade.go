// Package evidence packs what a ceremony left as an evidence package, and verifies it,
// offline, under a policy of pinned keys. It also verifies bundles, statements and
// transcripts by themselves.
//
// Most callers need ParsePolicy and Verify. The report grades each claim. The same bytes,
// policy and time give the same report everywhere.
package evidence

import "slices"

// Grade says how strongly a claim is shown. Grades are ordered.
type Grade int

// The grades, weakest first.
const (
	NotShown Grade = iota
	// Device: an HSM reported it about itself, without authentication.
	Device
	// Attested: pinned people, or a device under its vendor's pinned anchor, say so.
	Attested
	// Proven: it follows from signatures and hashes under pinned keys.
	Proven
)

var gradeNames = [...]string{"not shown", "device", "attested", "proven"}

func (g Grade) String() string { return gradeNames[g] }

func parseGrade(s string) (Grade, bool) {
	for i, n := range gradeNames {
		if n == s && i > 0 {
			return Grade(i), true
		}
	}
	return NotShown, false
}

// The claims, by their fixed names, in the order of reports.
const (
	ClaimMode           = "mode"
	ClaimPlanApproved   = "plan.approved"
	ClaimGenerated      = "key.generated"
	ClaimNonexportable  = "key.nonexportable"
	ClaimPossession     = "key.possession"
	ClaimAgreement      = "key.agreement"
	ClaimKeyAttested    = "key.attested"
	ClaimFleetChecked   = "fleet.checked"
	ClaimReleaseSignoff = "signoffs.release"
	ClaimStatement      = "statement.signed"
	ClaimCountersigned  = "countersigned"
	// ClaimCountersignerAttested: an HSM holds the countersigner's key, so nobody could
	// copy it.
	ClaimCountersignerAttested = "countersigner.attested"

	ClaimIncluded     = "log.included"
	ClaimWitnessed    = "log.witnessed"
	ClaimRekor        = "rekor.included"
	ClaimDrilled      = "fleet.drilled"
	ClaimLockdown     = "lockdown"
	ClaimCloseSignoff = "signoffs.close"
	ClaimBound        = "evidence.bound"
	ClaimPage         = "page"
	ClaimLogged       = "evidence.logged"
	ClaimDestroyed    = "keys.destroyed" // only for ceremonies that destroy keys
	ClaimAbortSigned  = "abort.signed"   // only for aborted ceremonies
)

// claimInfo says which objects can carry a claim, and its strongest possible grade.
type claimInfo struct {
	name    string
	best    Grade
	objects []Type
}

var (
	packageOnly = []Type{TypeEvidence}
	closed      = []Type{TypeEvidence, TypeDestruction}
)

var claimInfos = []claimInfo{
	{ClaimMode, Proven, []Type{TypeEvidence, TypeBundle, TypeNotice, TypeStatement, TypeAbort, TypeDestruction}},
	{ClaimPlanApproved, Proven, []Type{TypeEvidence, TypeAbort, TypeDestruction}},
	{ClaimGenerated, Device, []Type{TypeEvidence, TypeTranscript}},
	{ClaimNonexportable, Device, []Type{TypeEvidence, TypeTranscript}},
	{ClaimPossession, Proven, []Type{TypeEvidence, TypeTranscript}},
	{ClaimAgreement, Attested, []Type{TypeEvidence, TypeTranscript}},
	{ClaimKeyAttested, Attested, packageOnly},
	{ClaimFleetChecked, Attested, []Type{TypeEvidence, TypeTranscript}},
	{ClaimReleaseSignoff, Proven, packageOnly},
	{ClaimStatement, Proven, []Type{TypeEvidence, TypeBundle, TypeNotice, TypeStatement, TypeDestruction}},
	{ClaimCountersigned, Proven, []Type{TypeEvidence, TypeBundle, TypeNotice, TypeDestruction}},
	{ClaimCountersignerAttested, Attested, packageOnly},
	{ClaimIncluded, Proven, []Type{TypeEvidence, TypeBundle, TypeNotice, TypeDestruction}},
	{ClaimWitnessed, Proven, []Type{TypeEvidence, TypeBundle, TypeNotice, TypeDestruction}},
	{ClaimRekor, Proven, []Type{TypeEvidence, TypeBundle, TypeNotice}},
	{ClaimDrilled, Attested, packageOnly},
	{ClaimLockdown, Attested, closed},
	{ClaimCloseSignoff, Proven, closed},
	{ClaimBound, Proven, closed},
	{ClaimPage, Proven, closed},
	{ClaimLogged, Proven, []Type{TypeEvidence, TypeAbort, TypeDestruction}},
	{ClaimDestroyed, Attested, []Type{TypeDestruction}},
	{ClaimAbortSigned, Proven, []Type{TypeAbort}},
}

// ClaimNames are all claims in the order of reports.
func ClaimNames() []string {
	names := make([]string, len(claimInfos))
	for i, c := range claimInfos {
		names[i] = c.name
	}
	return names
}

// Best is a claim's strongest possible grade.
func Best(claim string) Grade {
	c, _ := findClaim(claim)
	return c.best
}

// Carries says whether objects of a type can carry a claim.
func Carries(t Type, claim string) bool {
	c, ok := findClaim(claim)
	return ok && c.carries(t)
}

func findClaim(name string) (claimInfo, bool) {
	for _, c := range claimInfos {
		if c.name == name {
			return c, true
		}
	}
	return claimInfo{}, false
}

// Type is a kind of object that can be verified.
type Type string

// The kinds of object.
const (
	TypeEvidence   Type = "evidence"
	TypeBundle     Type = "bundle" // of a fleet's keys
	TypeNotice     Type = "notice" // the bundle of a retirement or a void, which brings no keys
	TypeStatement  Type = "statement"
	TypeTranscript Type = "transcript"
	// TypeAbort is the package of a ceremony that was aborted.
	TypeAbort Type = "abort"
	// TypeDestruction is the package of a ceremony that destroyed a retired fleet's keys.
	TypeDestruction Type = "destruction"
)

// Noun is the type with its article, for sentences.
func (t Type) Noun() string {
	switch t {
	case TypeEvidence:
		return "an evidence package"
	case TypeAbort:
		return "an aborted ceremony"
	case TypeDestruction:
		return "a ceremony that destroyed keys"
	case "":
		return "nothing that can be verified"
	}
	return "a " + string(t)
}

// carries says whether an object of type t can carry the claim.
func (c claimInfo) carries(t Type) bool { return slices.Contains(c.objects, t) }
