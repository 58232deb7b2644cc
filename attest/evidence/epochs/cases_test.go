package epochs_test

const (
	byPolicy  = "policy.yaml"
	byBundles = "bundles.yaml"
)

// chainCases are the chains that lie in testdata/hostile too: SPEC 26 has their names and
// what is wrong.
var chainCases = []chainCase{
	{name: "whole", kind: "nothing: epochs 1 to 6, of which the third was voided, and the fleet's retirement", policy: byPolicy,
		files: "one.tar two.tar three.tar void-3.json five.tar end-6.json",
		rows:  []string{"epoch 1 keys, superseded by epoch 2", "epoch 3 keys, void by epoch 4", "epoch 4 void of epoch 3", "epoch 5 keys, retired from", "epoch 6 retirement of the fleet backup-test"}},
	{name: "whole-and-retired", kind: "nothing: the same, once the retirement is in force: it is history", policy: byPolicy, late: true,
		files: "one.tar two.tar three.tar void-3.json five.tar end-6.json", rows: []string{"epoch 5 keys, retired since", "a test; destruction not shown"}},
	{name: "whole-and-destroyed", kind: "nothing: the same, and the evidence that the keys in force last were destroyed", policy: byPolicy, late: true,
		files: "one.tar two.tar three.tar void-3.json five.tar end-6.json destroyed.tar", rows: []string{"a test; keys destroyed"}},
	{name: "destroyed-in-place-of-the-retirement", kind: "nothing: the same without the retirement's own bundle, which the evidence has in it", policy: byPolicy, late: true,
		files: "one.tar two.tar three.tar void-3.json five.tar destroyed.tar", rows: []string{"a test; keys destroyed", "epoch 6 retirement of the fleet backup-test"}},
	{name: "retired-is-not-current", kind: "the same, asked for keys that are in force", policy: byPolicy, late: true, current: true,
		files: "one.tar two.tar three.tar void-3.json five.tar end-6.json", want: "no keys here are in force"},
	{name: "current", kind: "nothing: two epochs, asked for keys that are in force", policy: byPolicy, current: true,
		files: "one.tar two.tar", rows: []string{"epoch 2 keys, in force by what is here"}},
	{name: "void-brings-back", kind: "nothing: the last epoch is void, so that the one before it is in force", policy: byPolicy, current: true,
		files: "one.tar two.tar three.tar void-3.json", rows: []string{"epoch 2 keys, in force by what is here", "epoch 3 keys, void by epoch 4"}},
	{name: "package-and-bundle", kind: "nothing: an epoch's package, and its bundle too", policy: byPolicy, files: "one.tar one.json two.tar"},
	{name: "given-up-before", kind: "nothing: a ceremony of epoch 1 that was given up, and the one that came to keys", policy: byPolicy, files: "given-up.tar one.tar"},
	{name: "later-part", kind: "nothing: epochs from 2 on, asked for from 2 on", policy: byPolicy, from: 2, files: "two.tar three.tar"},
	{name: "voided-and-not-here", kind: "nothing: a void of an epoch that has no bundle here", policy: byPolicy,
		files: "one.tar void-2-unseen.json", rows: []string{"epoch 2 is not here, and epoch 3 voids it"}},

	{name: "gap", kind: "epoch 2 is missing", policy: byPolicy, files: "one.tar three.tar", want: "epoch 2 is not here: nothing shows what it was"},
	{name: "gap-at-the-start", kind: "epoch 1 is missing", policy: byPolicy, files: "two.tar", want: "epoch 1 is not here: nothing shows"},
	{name: "gap-of-several", kind: "epochs 2 to 4 are missing", policy: byPolicy, files: "one.tar five.tar", want: "epochs 2 to 4 are not here"},
	{name: "begins-later-than-asked", kind: "asked for from epoch 3 on, and only what was before is here", policy: byPolicy, from: 3, files: "one.tar two.tar", want: "epoch 3, at which the chain is to begin, is not here"},
	{name: "only-given-up", kind: "of epoch 1 only a ceremony that was given up", policy: byPolicy, files: "given-up.tar", want: "only a ceremony is here that was aborted"},
	{name: "nothing", kind: "no object at all", policy: byPolicy, files: "", want: "no epoch is here that is verified"},
	{name: "fork", kind: "two packages of epoch 1, each verified", policy: byPolicy, alarm: true, files: "one.tar one-again.tar two.tar", want: "one epoch, two artifacts"},
	{name: "wrong-predecessor", kind: "epoch 2 names another artifact of epoch 1 than is here", policy: byPolicy, alarm: true, files: "one.tar two-of-another.tar", want: "names another artifact of epoch 1"},
	{name: "keys-of-epoch-1-again", kind: "epoch 3 has a key of epoch 1, which its own predecessor doesn't show", policy: byPolicy, alarm: true,
		files: "one.tar two.tar three-with-old-keys.tar", want: "a key that one.tar has too"},
	{name: "after-its-retirement", kind: "an epoch of a fleet after its retirement", policy: byPolicy, alarm: true,
		files: "one.tar two.tar three.tar void-3.json five.tar end-6.json after-the-end.json", want: "nothing of it may follow"},
	{name: "retired-and-voided", kind: "two notices for one epoch", policy: byPolicy, alarm: true, files: "one.tar two.tar void-2-unseen.json three.tar", want: "one epoch, two artifacts"},
	{name: "made-before-its-predecessor", kind: "the void of epoch 2 says that it was made a month before it", policy: byPolicy, files: "one.tar two.tar void-2-early.json", want: "order false void-2-early.json: is epoch 3 and says that it was made at"},
	{name: "logged-after-its-successor", kind: "epoch 1 whose proof is of an entry after that of epoch 2", policy: byBundles, files: "two-logged-late.json two.json", want: "it was logged after what follows it"},
	{name: "another-namespace", kind: "a package of another namespace, which the policy pins too", policy: byPolicy, files: "one.tar two.tar elsewhere.tar", want: "namespace false elsewhere.tar: is of the namespace"},
	{name: "a-strangers", kind: "a package of strangers, of the same namespace", policy: byPolicy, files: "one.tar stranger.tar", want: "unverified false stranger.tar"},
	{name: "broken", kind: "epoch 2's package has a byte that is another", policy: byPolicy, files: "one.tar broken.tar", want: "unverified false broken.tar"},
	{name: "only-a-bundle", kind: "of epoch 2 only the bundle, and the policy demands what a package shows", policy: byPolicy, files: "one.tar two.json", want: "is only a bundle, and the policy demands what that can't show: plan.approved"},
	{name: "bundles", kind: "nothing: bundles alone, and a policy that demands no more", policy: byBundles, files: "one.json two.json"},
	{name: "unknown-file", kind: "a JSON file that is nothing of a chain", policy: byPolicy, files: "one.tar note.json", want: "unknown false note.json: is nothing that a chain of epochs is made of"},
	{name: "statement", kind: "a statement, which is no object of a chain", policy: byPolicy, files: "one.tar statement.json", want: "is a statement; a chain is made of packages"},
	{name: "nobody-confirmed", kind: "a policy whose keys nobody confirmed", policy: "unpinned.yaml", files: "one.tar two.tar", want: "unpinned "},
}
