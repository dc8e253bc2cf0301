//! VietQR: what a banking app reads to fill in a transfer, so that nobody types an account, an amount and a note.
//!
//! EMVCo's merchant-presented mode in the profile of NAPAS for transfers to an account (IBFT, version 1.5.2). Made here and not
//! asked of anybody: a picture from elsewhere would tell that place who pays whom how much.
//!
//! Absent here: a bank that is guessed. Money that goes to another one is hard to get back.

mod banks;
mod picture;

use std::fmt::{self, Write as _};

pub use picture::Picture;

/// A transfer that somebody is asked to make.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    /// The bank, by its name, its code, or its number with NAPAS (BIN).
    pub bank: &'a str,
    /// The account.
    pub account: &'a str,
    /// How much, in đồng; nothing if whoever pays decides.
    pub amount_vnd: Option<i64>,
    /// The note that the transfer must carry.
    pub note: &'a str,
}

/// What of a transfer no code can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The bank is none that is known.
    Bank,
    /// The account is not one to nineteen letters and digits.
    Account,
    /// The amount is not positive, or has more than thirteen digits.
    Amount,
    /// The note is longer than twenty-five characters, or has one that a bank would change.
    Note,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bank => "the bank is none that is known",
            Self::Account => "the account is not one to nineteen letters and digits",
            Self::Amount => "the amount is not positive, or too large",
            Self::Note => "the note has more than 25 characters, or one that banks change",
        })
    }
}

/// The longest account and note of the profile, and the most digits of an amount.
const LONGEST: (usize, usize) = (19, 25);
const MOST: i64 = 9_999_999_999_999;
/// NAPAS, and its service of transfers to an account.
const NAPAS: &str = "A000000727";
const TO_ACCOUNT: &str = "QRIBFTTA";

/// The text of the code.
///
/// # Errors
///
/// Says what of the transfer cannot be said in one.
pub fn payload(transfer: &Transfer<'_>) -> Result<String, Unfit> {
    let bank = banks::number(transfer.bank).ok_or(Unfit::Bank)?;
    let account: String = transfer.account.chars().filter(|c| !matches!(c, ' ' | '.' | '-')).collect();
    let is_account = (1..=LONGEST.0).contains(&account.len());
    if !is_account || !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Unfit::Account);
    }
    if transfer.amount_vnd.is_some_and(|amount| !(1..=MOST).contains(&amount)) {
        return Err(Unfit::Amount);
    }
    let note = transfer.note.trim();
    if note.len() > LONGEST.1 || !note.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(Unfit::Note);
    }
    let once = if transfer.amount_vnd.is_some() { "12" } else { "11" };
    let beneficiary = object("00", bank) + &object("01", &account);
    let merchant = object("00", NAPAS) + &object("01", &beneficiary) + &object("02", TO_ACCOUNT);
    // The payload's format, whether it is for one payment, the merchant, đồng, the amount, Vietnam, the note.
    let mut text = object("00", "01") + &object("01", once) + &object("38", &merchant) + &object("53", "704");
    if let Some(amount) = transfer.amount_vnd {
        text += &object("54", &amount.to_string());
    }
    text += &object("58", "VN");
    if !note.is_empty() {
        text += &object("62", &object("08", note));
    }
    text += "6304";
    let sum = checksum(text.as_bytes());
    let _infallible = write!(text, "{sum:04X}");
    Ok(text)
}

/// One data object: its identifier, its length in two digits, its value. No value here is as long as a hundred.
fn object(id: &str, value: &str) -> String {
    format!("{id}{:02}{value}", value.len())
}

/// CRC-16 with the polynomial 0x1021 from 0xFFFF on, as ISO/IEC 13239 has it and EMVCo takes it.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(
            sum ^ u16::from(*byte) << 8,
            |sum, _| {
                if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPOSIT: Transfer<'_> =
        Transfer { bank: "MBBank", account: "0900 123 456 789", amount_vnd: Some(500_000), note: "NAP GZ14" };

    /// What NAPAS has published itself: an account with nothing else, and the sums of two codes with more than is made here.
    #[test]
    fn published_codes_come_out_to_the_letter() {
        let account = Transfer { bank: "970403", account: "0011012345678", amount_vnd: None, note: "" };
        let expected =
            "00020101021138570010A00000072701270006970403011300110123456780208QRIBFTTA53037045802VN63049E6F";
        assert_eq!(payload(&account).as_deref(), Ok(expected));
        for code in [
            "00020101021238570010A00000072701270006970403011300110123456780208QRIBFTTA530370454061800005802VN62340107NPS68690819thanh toan don hang63042E2E",
            "00020101021138600010A00000072701300006970403011697040311012345670208QRIBFTTC53037045802VN63044F52",
        ] {
            let (text, sum) = code.split_at(code.len() - 4);
            assert_eq!(format!("{:04X}", checksum(text.as_bytes())), sum);
        }
        assert_eq!(checksum(b"123456789"), 0x29B1, "the check value of this sum");
    }

    #[test]
    fn a_deposit_says_all_that_a_transfer_needs() {
        let text = payload(&DEPOSIT).expect("it can be paid");
        let expected = "00020101021238570010A0000007270127000697042201130900123456789\
                        0208QRIBFTTA53037045406500000\
                        5802VN62120808NAP GZ146304";
        assert_eq!(text.get(..text.len() - 4), Some(expected));
    }

    #[test]
    fn what_a_bank_would_change_or_misread_is_in_no_code() {
        let long = "x".repeat(26);
        for (transfer, unfit) in [
            (Transfer { bank: "Ngân hàng", ..DEPOSIT }, Unfit::Bank),
            (Transfer { account: "", ..DEPOSIT }, Unfit::Account),
            (Transfer { account: "12345678901234567890", ..DEPOSIT }, Unfit::Account),
            (Transfer { account: "0900/12", ..DEPOSIT }, Unfit::Account),
            (Transfer { amount_vnd: Some(0), ..DEPOSIT }, Unfit::Amount),
            (Transfer { amount_vnd: Some(i64::MAX), ..DEPOSIT }, Unfit::Amount),
            (Transfer { note: "NẠP GZ14", ..DEPOSIT }, Unfit::Note),
            (Transfer { note: "a\nb", ..DEPOSIT }, Unfit::Note),
            (Transfer { note: &long, ..DEPOSIT }, Unfit::Note),
        ] {
            assert_eq!(payload(&transfer), Err(unfit), "{transfer:?}");
        }
    }
}
