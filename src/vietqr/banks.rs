//! The banks that take VietQR: their numbers with NAPAS (BIN), and the names they go by.

use unicode_normalization::UnicodeNormalization as _;

/// Number, and names and codes without spaces, accents and the word *ngân hàng*.
const BANKS: &[(&str, &[&str])] = &[
    ("970400", &["saigonbank", "sgicb"]),
    ("970403", &["sacombank", "stb"]),
    ("970405", &["agribank", "vba", "vbard"]),
    ("970406", &["dongabank", "dab", "vikki", "vikkibank"]),
    ("970407", &["techcombank", "tcb"]),
    ("970408", &["gpbank", "gpb"]),
    ("970409", &["bacabank", "bab"]),
    ("970410", &["standardchartered", "standardcharteredbank", "scvn"]),
    ("970412", &["pvcombank", "pvcb"]),
    ("970414", &["oceanbank", "mbv"]),
    ("970415", &["vietinbank", "icb", "ctg"]),
    ("970416", &["acb", "achau"]),
    ("970418", &["bidv"]),
    ("970419", &["ncb", "quocdan"]),
    ("970421", &["vrb", "vietnga"]),
    ("970422", &["mbbank", "mb", "militarybank", "quandoi"]),
    ("970423", &["tpbank", "tpb", "tienphong"]),
    ("970424", &["shinhanbank", "shinhan", "shbvn"]),
    ("970425", &["abbank", "abb", "anbinh"]),
    ("970426", &["msb", "maritimebank", "hanghai"]),
    ("970427", &["vietabank", "vab"]),
    ("970428", &["namabank", "nab"]),
    ("970429", &["scb"]),
    ("970430", &["pgbank", "pgb"]),
    ("970431", &["eximbank", "eib"]),
    ("970432", &["vpbank", "vpb"]),
    ("970433", &["vietbank"]),
    ("970434", &["indovinabank", "ivb"]),
    ("970436", &["vietcombank", "vcb", "ngoaithuong"]),
    ("970437", &["hdbank", "hdb"]),
    ("970438", &["baovietbank", "bvb"]),
    ("970439", &["publicbank", "pbvn"]),
    ("970440", &["seabank", "seab"]),
    ("970441", &["vib", "vibbank"]),
    ("970442", &["hongleongbank", "hlbvn"]),
    ("970443", &["shb"]),
    ("970444", &["cbbank", "cbb", "vcbneo"]),
    ("970446", &["coopbank", "coopbankvn"]),
    ("970448", &["ocb", "phuongdong"]),
    ("970449", &["lpbank", "lpb", "lienvietpostbank"]),
    ("970452", &["kienlongbank", "klb", "kienlong"]),
    ("970454", &["bvbank", "banviet", "vietcapitalbank", "vccb"]),
    ("970457", &["woori", "wooribank", "wvn"]),
    ("970458", &["uob", "uobvn"]),
    ("422589", &["cimb", "cimbbank"]),
    ("458761", &["hsbc", "hsbcvn"]),
    ("546034", &["cake", "cakebyvpbank"]),
    ("963388", &["timo", "timobybanviet"]),
];
/// What may stand before the name of any bank.
const TITLES: [&str; 4] = ["nganhangthuongmaicophan", "nganhangtmcp", "nganhang", "tmcp"];

/// The number of a bank. Nothing if the name is of none, or of two.
pub(super) fn number(bank: &str) -> Option<&'static str> {
    let whole = folded(bank);
    let bare = TITLES.iter().find_map(|title| whole.strip_prefix(title)).unwrap_or(&whole);
    if let Some((number, _)) = BANKS.iter().find(|(number, names)| *number == whole || names.contains(&bare))
    {
        return Some(number);
    }
    // "Vietcombank (VCB) - CN HCM": all that is a name has to be of the same bank. Codes of two letters are words, too.
    let parts: Vec<String> = bank.split(|c: char| !c.is_alphanumeric()).map(folded).collect();
    let is_named = |names: &[&str]| parts.iter().any(|part| part.len() > 2 && names.contains(&part.as_str()));
    let mut found = BANKS.iter().filter(|(_, names)| is_named(names)).map(|(number, _)| *number);
    found.next().filter(|_| found.next().is_none())
}

/// Letters and digits without case and accents.
fn folded(name: &str) -> String {
    let plain = name.nfd().flat_map(char::to_lowercase).map(|c| if c == 'đ' { 'd' } else { c });
    plain.filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_known_by_each_of_its_names_and_never_guessed() {
        for (name, expected) in [
            ("970422", Some("970422")),
            ("MBBank", Some("970422")),
            ("MB Bank", Some("970422")),
            ("mb", Some("970422")),
            ("Ngân hàng TMCP Quân Đội", Some("970422")),
            ("Vietcombank (VCB) - CN HCM", Some("970436")),
            ("Ngân hàng TMCP Á Châu (ACB)", Some("970416")),
            ("TPBank", Some("970423")),
            ("", None),
            ("Ngân hàng", None),
            ("VCB hoặc ACB", None),
            ("970000", None),
            ("Bank of Nowhere", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }

    #[test]
    fn no_two_banks_share_a_name() {
        let mut names: Vec<&str> = BANKS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        names.extend(BANKS.iter().map(|(number, _)| *number));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.iter().all(|name| folded(name) == *name));
    }
}
