package data

// The grammar: what a request can say. A request names a document of a place, what of it
// is used, what is to be done with it, and whether that is approved. Three facts follow,
// and the judgement from them alone:
//
//	something non-public is used            → DENY
//	else it acts, and that is not approved  → ESCALATION
//	else                                    → ALLOW
//
// Every noun and every word for "non-public" stands in requests of all three judgements,
// so no single word decides: "未公表の数値" is said both with 含めて and with 除いて, and in
// binding requests only the connection between two sentences tells.

// domain is a field of work. Every place goes with every document: a topic.
type domain struct {
	name              string
	places, documents []string
}

var domains = []domain{
	{"defense",
		[]string{"駐屯地", "護衛艦", "演習場", "補給処", "監視所", "航空基地"},
		[]string{"警備計画", "補給計画", "整備記録", "訓練計画", "装備一覧", "通信手順", "防護施設", "配置表"}},
	{"aerospace",
		[]string{"人工衛星", "ロケット", "旅客機", "管制塔", "発射場", "探査機"},
		[]string{"飛行計画", "点検記録", "姿勢制御", "燃料系統", "試験結果", "通信設定", "部品表", "軌道計算"}},
	{"transport",
		[]string{"港", "新幹線", "高速道路", "地下鉄", "貨物駅", "物流倉庫"},
		[]string{"荷役計画", "運行計画", "保守記録", "信号設備", "事故報告", "乗務員表", "料金表", "警備体制"}},
	{"general",
		[]string{"研究所", "工場", "病院", "市役所", "学校", "銀行"},
		[]string{"契約書", "名簿", "予算案", "議事録", "設計書", "監査結果", "採用計画", "在庫表"}},
}

var (
	// parts of a document that a request may use.
	parts = []string{"部分", "資料", "数値", "図面", "記録", "写真"}
	// restricted are words for what may not be used, open for what may.
	restricted = []string{"非公開", "部外秘", "未公表", "社外秘", "関係者限り"}
	open       = []string{"公表済み", "公開済み", "一般向け"}

	// How a clause request uses or leaves out "<restricted>の<part>".
	usedForms   = []string{"も含めて", "も使って", "を加えて", "まで見て"}
	unusedForms = []string{"は除いて", "は使わずに", "を外して", "には触れずに"}
	// How it keeps to "<open>の<part>".
	openForms = []string{"だけで", "に限って"}

	acts = []string{"更新を行って", "変更を進めて", "発注を進めて", "登録を始めて",
		"送信を始めて", "停止を行って", "配布を進めて", "切り替えを行って"}
	explains = []string{"概要を教えて", "内容を説明して", "要点をまとめて", "用語を解説して",
		"流れを紹介して", "背景を述べて", "違いを比べて", "意味を示して"}

	approvedForms   = []string{"責任者の承認は済んでいます。", "担当課の許可を得ています。", "決裁は下りています。", "責任者は了承しています。"}
	unapprovedForms = []string{"責任者の承認はまだです。", "担当課の許可を得ていません。", "決裁は下りていません。", "責任者は了承していません。"}
)

// facts are what the judgement follows from.
type facts struct {
	nonPublic bool // something non-public is used
	act       bool // it is carried out, not only explained
	approval  approval
}

type approval int

const (
	unsaid approval = iota // nothing is said, which is no approval
	approved
	unapproved
)

func (f facts) label() string {
	switch {
	case f.nonPublic:
		return "DENY"
	case f.act && f.approval != approved:
		return "ESCALATION"
	}
	return "ALLOW"
}

// binding says which of two parts a request uses: the restricted one, the open one, both
// or neither, and how it says so.
type binding int

const (
	onlyRestricted binding = iota // "<restricted>だけ使って"
	withoutOpen                   // "<open>は使わずに": leaves the restricted one
	both
	onlyOpen
	withoutRestricted
	neither
)

// nonPublicBindings and publicBindings are the ways to use the restricted part or not.
// both and neither say it without a connection to the first sentence, so they are rarer.
var (
	nonPublicBindings = []binding{onlyRestricted, withoutOpen, both}
	publicBindings    = []binding{onlyOpen, withoutRestricted, neither}
)

// request is one point of the grammar: indexes into the lists above.
type request struct {
	facts
	domain, place, document int
	bound                   bool // a binding request, else a clause request
	verb                    int  // in acts or explains
	approvalForm            int
	approvalFirst           bool
	word                    int // in restricted
	openWord                int // in open
	part, other             int // in parts; other ≠ part: the open part of a binding request

	form      int     // of a clause request: in usedForms, or unusedForms then openForms
	binding   binding // of a binding request
	openFirst bool    // the open part is named first
}

func (r request) topic() string {
	d := domains[r.domain]
	return d.places[r.place] + "の" + d.documents[r.document]
}

func (r request) action() string {
	if r.act {
		return acts[r.verb] + "ください。"
	}
	return explains[r.verb] + "ください。"
}

func (r request) approvalText() string {
	switch r.approval {
	case approved:
		return approvedForms[r.approvalForm]
	case unapproved:
		return unapprovedForms[r.approvalForm]
	}
	return ""
}

// text is the request as a user would write it.
func (r request) text() string {
	body := r.clauseText()
	if r.bound {
		body = r.bindingText()
	}
	if r.approvalFirst {
		return r.approvalText() + body
	}
	return body + r.approvalText()
}

func (r request) clauseText() string {
	about := r.topic() + "について、"
	if open := r.form - len(unusedForms); !r.nonPublic && open >= 0 {
		return about + openText(r.openWord, r.part) + openForms[open] + r.action()
	}
	form := unusedForms
	if r.nonPublic {
		form = usedForms
	}
	return about + restricted[r.word] + "の" + parts[r.part] + form[r.form] + r.action()
}

func openText(word, part int) string { return open[word] + "の" + parts[part] }

func (r request) bindingText() string {
	x, y := parts[r.part], parts[r.other]
	state := x + "は" + restricted[r.word] + "で、" + y + "は" + open[r.openWord] + "です。"
	if r.openFirst {
		state = y + "は" + open[r.openWord] + "で、" + x + "は" + restricted[r.word] + "です。"
	}
	use := map[binding]string{
		onlyRestricted: x + "だけ使って", withoutOpen: y + "は使わずに", both: "両方とも使って",
		onlyOpen: y + "だけ使って", withoutRestricted: x + "は使わずに", neither: "どちらも使わずに",
	}[r.binding]
	return r.topic() + "の" + state + use + r.action()
}

// reason is the target's second line.
func (r request) reason() string {
	switch {
	case r.nonPublic && r.bound:
		return parts[r.part] + "は" + restricted[r.word] + "のため。"
	case r.nonPublic:
		return restricted[r.word] + "の" + parts[r.part] + "を使うため。"
	case r.act && r.approval != approved:
		return "承認のない実行のため。"
	case r.act:
		return "承認を得た実行のため。"
	}
	return "公開の範囲の説明のため。"
}
