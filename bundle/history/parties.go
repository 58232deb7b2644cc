package history

// PartyRun is what one third party signed of a namespace, with all its keys. An
// epoch that it didn't sign while others did is no fault by itself: a policy says
// how many must sign, and a bundle shows who did.
type PartyRun struct {
	Name        string
	First, Last uint64
	Epochs      int64
	Absent      []Span // between First and the namespace's last epoch; at most maxSpans
	Missed      int64  // epochs in all of them
}

// Span is a range of epochs, both ends included.
type Span struct {
	From uint64 `strict:"from"`
	To   uint64 `strict:"to"`
}

// maxSpans bounds the list of a party's absences.
const maxSpans = 100

// signed notes that the party signed an epoch. Epochs come in order.
func (p *PartyRun) signed(epoch uint64) {
	switch {
	case p.Epochs == 0:
		p.First = epoch
	case epoch == p.Last:
		return // another key of the same party
	default:
		p.absent(epoch - 1)
	}
	p.Last = epoch
	p.Epochs++
}

// absent notes that the party didn't sign the epochs after Last, up to to.
func (p *PartyRun) absent(to uint64) {
	if to <= p.Last {
		return
	}
	p.Missed += int64(to - p.Last)
	if len(p.Absent) < maxSpans {
		p.Absent = append(p.Absent, Span{p.Last + 1, to})
	}
}

// runs finds a namespace's parties by the number of each of their keys.
type runs struct {
	byKey map[uint16]*PartyRun
	list  []*PartyRun
}

func (c *collector) run(r *runs, key uint16) *PartyRun {
	if p := r.byKey[key]; p != nil {
		return p
	}
	name := c.o.Keys[key].Name
	for _, p := range r.list {
		if p.Name == name {
			r.byKey[key] = p
			return p
		}
	}
	p := &PartyRun{Name: name}
	r.byKey[key], r.list = p, append(r.list, p)
	return p
}
