//! What must never be seen: the key, in any log at any level, in any answer, on the command line.

use serde_json::json;

use super::operations::rows;
use super::rig::Gateway;

/// The spellings in which a secret could slip through.
fn spellings(secret: &str) -> Vec<String> {
    let hex = secret.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let url = secret.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    let escaped = secret.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect::<String>();
    vec![secret.to_owned(), base64(secret.as_bytes()).trim_end_matches('=').to_owned(), hex, url, escaped]
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let joined = chunk.iter().fold(0_u32, |all, b| all << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(joined >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

#[tokio::test]
async fn at_trace_level_the_whole_api_logs_no_secret() {
    let (secret, password) = ("S3cret-canary-9f27c1", "Passw0rd-canary-51");
    let gateway = Gateway::sandbox_with(&[("GIZAD_LOG_LEVEL", "trace"), ("GIZAD_SANDBOX_SECRET", secret)]);
    let mut answers = String::new();
    for mut row in rows() {
        if let Some(given) = row.body.as_mut().and_then(|body| body.get_mut("password")) {
            *given = json!(password);
        }
        let answer = row.rest(&gateway).await;
        let revealed = answer.text.clone();
        if row.operation.contains("Login") || row.operation.contains("Console") {
            // What the caller asked to see: in the answer, never in the log.
            for field in ["password", "url"] {
                let shown = answer.json()[field].as_str().unwrap_or_default().to_owned();
                assert!(!shown.is_empty() && !gateway.log().contains(&shown), "{}: {shown}", row.operation);
            }
        }
        answers += &revealed;
    }
    // A provider that echoes what it was sent, whole or in pieces.
    for body in [
        json!({"success": true, "data": {"balance": 1, "echo": secret}}),
        json!({"success": false, "message": format!("bad key {secret}")}),
    ] {
        gateway.order(json!({"kind": "answer", "body": body.to_string()})).await;
        answers += &gateway.get("/wallet").await.text;
    }
    gateway
        .order(
            json!({"kind": "answer", "status": 403, "body": format!("<html><title>{secret}</title></html>")}),
        )
        .await;
    answers += &gateway.get("/wallet").await.text;
    let log = gateway.log();
    assert!(log.contains("\"level\":\"TRACE\""), "the log is at trace level");
    for secret in [secret, password] {
        for spelling in spellings(secret) {
            assert!(!log.contains(&spelling), "{spelling} in the log");
            assert!(!answers.contains(&spelling), "{spelling} in an answer");
        }
    }
}

/// PHP escapes slashes, pages escape quotes, redirects escape everything.
#[tokio::test]
async fn an_echo_in_another_spelling_is_taken_out_too() {
    let secret = "ab/cd\"EF&gh=ij";
    let gateway = Gateway::sandbox_with(&[("GIZAD_SANDBOX_SECRET", secret)]);
    let echoes = [
        json!({"body": "you sent ab\\/cd\\\"EF&gh=ij"}),
        json!({"body": r#"{"success":false,"message":"bad: ab\\/cd\\\"EF&gh=ij"}"#}),
        json!({"body": r#"{"success":true,"data":{"balance":1,"x":"ab\/cd\"EF&gh=ij"}}"#}),
        json!({"status": 403, "body": "<html><title>ab/cd&quot;EF&amp;gh=ij</title></html>"}),
        json!({"status": 302, "headers": [["Location", "https://x.example/ab%2Fcd%22EF%26gh%3Dij"]]}),
    ];
    for mut echo in echoes {
        echo["kind"] = json!("answer");
        gateway.order(echo.clone()).await;
        let answer = gateway.get("/wallet").await;
        let shown = answer.text.clone() + &gateway.log();
        assert!(answer.text.contains("[redacted]"), "{echo}: {}", answer.text);
        for piece in ["EF&", "EF&amp;", "EF%26"] {
            assert!(!shown.contains(piece), "{echo}: {shown}");
        }
    }
}
