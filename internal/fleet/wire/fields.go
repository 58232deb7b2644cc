package wire

func account(s *string) field { return field{name: "account", text: s, most: MaxAccount} }
func said(name string, s *string) field {
	return field{name: name, text: s, most: MaxText, empty: true}
}
func fixed(name string, b []byte) field   { return field{name: name, fixed: b} }
func number(name string, n *uint32) field { return field{name: name, u32: n} }
func long(name string, n *uint64) field   { return field{name: name, u64: n} }
func envelope(b *[]byte) field            { return field{name: "envelope", blob: b, most: MaxEnvelope} }

func (m *RegisterStart) fields() []field {
	return []field{account(&m.Account), fixed("request", m.Request[:])}
}

func (m *RegisterAnswer) fields() []field { return []field{fixed("response", m.Response[:])} }

func (m *RegisterFinish) fields() []field {
	return []field{fixed("record", m.Record[:]), envelope(&m.Envelope), number("used", &m.Used)}
}

func (m *Registered) fields() []field {
	return []field{fixed("registration", m.Registration[:]), long("epoch", &m.Epoch), number("remaining", &m.Remaining), number("limit", &m.Limit)}
}

func (m *LoginStart) fields() []field {
	return []field{account(&m.Account), fixed("KE1", m.KE1[:])}
}

func (m *LoginAnswer) fields() []field {
	return []field{number("remaining", &m.Remaining), fixed("KE2", m.KE2[:])}
}

func (m *LoginFinish) fields() []field { return []field{fixed("KE3", m.KE3[:])} }

func (m *Recovered) fields() []field {
	return []field{fixed("registration", m.Registration[:]), long("epoch", &m.Epoch), number("remaining", &m.Remaining), number("limit", &m.Limit), envelope(&m.Envelope)}
}

func (m *Erase) fields() []field {
	return []field{account(&m.Account), fixed("registration", m.Registration[:])}
}

func (m *Erased) fields() []field {
	return []field{number("used", &m.Used), number("limit", &m.Limit)}
}

func (m *StatusRequest) fields() []field { return nil }

func (m *Status) fields() []field {
	return []field{said("node", &m.Node), said("leader", &m.Leader), said("state", &m.State), said("anchor", &m.Anchor), said("voters", &m.Voters), said("version", &m.Version),
		long("epoch", &m.Epoch), long("term", &m.Term), long("last", &m.Last), long("applied", &m.Applied), number("accounts", &m.Accounts), number("locked", &m.Locked)}
}

func (m *Refusal) fields() []field {
	return []field{{name: "code", refusalCode: &m.Code}, said("leader", &m.Leader), said("detail", &m.Detail)}
}
