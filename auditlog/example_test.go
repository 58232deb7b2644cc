package auditlog

import (
	"fmt"
	"testing"
)

func ExamplePolicy_Verify() {
	policy, err := ParsePolicy("policy.txt", []byte(testPolicyText))
	if err != nil {
		fmt.Println(err)
		return
	}
	text := goodProof(new(testing.B)).Marshal() // as read from bundle.json.tlog-proof
	proof, err := ParseProof("bundle.json.tlog-proof", text)
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := policy.Verify([]byte("leaf 5\n"), proof)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(in.Origin, in.Index, in.Size, in.Quorum, in.QuorumTime.Unix())
	// Output: fleet.example/log1 5 11 true 2000
}
