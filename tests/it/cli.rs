//! The command line: every operation of the contract from the real binary, against the sandbox, as people and programs use it.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::rig::{File, Folder, Gateway, contract, unique};

/// The commands, in an order that makes sense on a new account, with what a person reads in the answer. What is asked for
/// comes last, because it needs an operation.
const COMMANDS: [(&str, &str, &str); 47] = [
    ("WalletService.GetWallet", "wallet", "5.000.000 ₫"),
    ("WalletService.ListTransactions", "wallet transactions", "nothing"),
    ("WalletService.CreateDeposit", "deposit create --amount-vnd 500000", "NAP GZ6"),
    ("WalletService.GetDeposit", "deposit get GZ6", "500.000 ₫"),
    ("WalletService.CheckDeposit", "deposit check GZ6", "PENDING"),
    ("CatalogService.ListVpsPlans", "catalog vps-plans", "VPS SSD 2"),
    ("CatalogService.ListHostingPlans", "catalog hosting-plans", "PLAN_ID"),
    ("CatalogService.ListEmailPlans", "catalog list-email-plans", "PLAN_ID"),
    ("CatalogService.ListKeyProducts", "catalog key-products", "PRODUCT_ID"),
    ("VpsService.ListVps", "vps list --view full", "hcm-node-03"),
    ("VpsService.GetVps", "vps get 1", "web-01"),
    (
        "VpsService.CreateVps",
        "vps create --plan-id 26 --hostname api-1 --os ubuntu-22.04 --billing-cycle monthly --password-file SECRET",
        "SUCCEEDED",
    ),
    ("VpsService.UpdateVps", "vps update 1 --hostname web-02", "pending  no"),
    ("VpsService.StartVps", "vps start 1", "pending  no"),
    ("VpsService.StopVps", "vps stop 1", "pending  no"),
    ("VpsService.RebootVps", "vps reboot 2", "pending  no"),
    ("VpsService.GetVpsStatus", "vps status 1", "OFF"),
    ("VpsService.OpenVpsConsole", "vps open-console 2", "password"),
    ("VpsService.ChangeVpsPassword", "vps change-password 1 --password-file SECRET", "message"),
    (
        "VpsService.ReinstallVps",
        "vps reinstall 2 --os debian-12 --password-file SECRET --confirm-hostname db-01",
        "message",
    ),
    ("VpsService.ListRenewalPrices", "vps renewal-prices 1", "1.490.000 ₫"),
    ("VpsService.RenewVps", "vps renew 1 --billing-cycle monthly", "SUCCEEDED"),
    ("HostingService.ListHosting", "hosting", "SERVICE_ID"),
    ("HostingService.GetHosting", "hosting get 3", "ACTIVE"),
    (
        "HostingService.CreateHosting",
        "hosting create --plan-id 11 --domain example.vn --billing-cycle monthly",
        "SUCCEEDED",
    ),
    ("HostingService.GetHostingLogin", "hosting login 3", "username"),
    ("HostingService.ListRenewalPrices", "hosting renewal-prices 3", "monthly"),
    ("HostingService.RenewHosting", "hosting renew 3 --billing-cycle monthly", "SUCCEEDED"),
    ("EmailService.ListEmail", "email", "SERVICE_ID"),
    ("EmailService.GetEmail", "email get 4", "ACTIVE"),
    (
        "EmailService.CreateEmail",
        "email create --plan-id 41 --domain example.vn --billing-cycle monthly",
        "SUCCEEDED",
    ),
    ("EmailService.GetEmailLogin", "email login 4", "username"),
    ("EmailService.ListRenewalPrices", "email list-renewal-prices 4", "monthly"),
    ("EmailService.RenewEmail", "email renew 4 --billing-cycle monthly", "SUCCEEDED"),
    ("InvoiceService.ListInvoices", "invoices", "INVOICE_ID"),
    ("InvoiceService.PayInvoice", "invoices pay 5", "SUCCEEDED"),
    ("ProfileService.GetProfile", "profile", "Nguyễn Văn An"),
    ("ProfileService.UpdateProfile", "profile update --phone 0900000000", "pending  no"),
    ("TicketService.CreateTicket", "tickets create --data @TICKET", "ticket_id"),
    ("TicketService.ListTickets", "tickets", "TICKET_ID"),
    ("TicketService.GetTicket", "tickets get NEWEST", "subject"),
    ("TicketService.ReplyTicket", "tickets reply NEWEST --message cảm-ơn", "message"),
    (
        "ActionService.CallAction",
        "actions call vps_rdns --parameters vpsid:=1 --parameters rdns=a.example.vn",
        "rDNS",
    ),
    ("ServiceService.ListExpiringServices", "services expiring --within 9w", "RENEWED_BY"),
    ("OperationService.ListOperations", "operations --page-size 1000", "VpsService.CreateVps"),
    ("OperationService.GetOperation", "operations get LAST --wait 1s", "SUCCEEDED"),
    ("OperationService.ReconcileOperation", "operations reconcile LAST", "SUCCEEDED"),
];

/// Those that need goods whose names are the sandbox's own, or an operation in a certain state, and are run by the tests below.
const BELOW: [&str; 6] = [
    "KeyService.BuyKey",
    "KeyService.RenewKey",
    "LicenseService.BuyLicense",
    "AccountOrderService.CreateAccountOrder",
    "OperationService.ApproveOperation",
    "OperationService.ResolveOperation",
];

/// Runs the program as somebody whose only gizad is this one.
pub fn gizad(gateway: &Gateway, arguments: &[&str]) -> Output {
    run(&gateway.api, arguments)
}

fn run(url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(arguments)
        .env("GIZAD_URL", url)
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The first value of a column of what is listed.
fn first(gateway: &Gateway, command: &[&str], list: &str, name: &str) -> String {
    let output = gizad(gateway, &[command, &["--json"]].concat());
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let value = &json[list][0][name];
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_has_a_command_that_works() {
    let named: BTreeSet<&str> = COMMANDS.iter().map(|(name, _, _)| *name).chain(BELOW).collect();
    let known: BTreeSet<&str> = contract().operations().iter().map(|row| row.name.as_str()).collect();
    let without: Vec<&&str> = known.difference(&named).collect();
    assert!(without.is_empty(), "no command was tried for {without:?}");

    let settings = File::new(&format!("cli-actions-{}", unique()), "[actions]\nvps_rdns = \"converge\"\n");
    let gateway = Gateway::start(&["--sandbox", "--config", settings.path()], &[]);
    let secret = File::new(&format!("cli-secret-{}", unique()), "StrongPass@123\n");
    let ticket = File::new(
        &format!("cli-ticket-{}", unique()),
        r#"{"subject": "VPS không ping được", "message": "Xin chào"}"#,
    );
    let mut bought = String::new();
    for (name, command, expected) in COMMANDS {
        let newest = if command.contains("NEWEST") {
            first(&gateway, &["tickets"], "tickets", "ticket_id")
        } else {
            String::new()
        };
        let words: Vec<String> = command
            .split(' ')
            .map(|word| {
                word.replace("SECRET", secret.path())
                    .replace("TICKET", ticket.path())
                    .replace("NEWEST", &newest)
                    .replace("LAST", &bought)
            })
            .chain(["--yes".to_owned()])
            .collect();
        let output = gizad(&gateway, &words.iter().map(String::as_str).collect::<Vec<_>>());
        let text = out(&output);
        assert!(output.status.success(), "{command}: {text}{}", said(&output));
        assert!(text.contains(expected), "{command}: {expected:?} in {text}");
        assert!(!text.contains('\u{1b}') && !said(&output).contains("StrongPass"), "{command}");
        if name == "VpsService.CreateVps" {
            bought = text.split_whitespace().nth(1).expect("an identifier").to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goods_without_a_list_are_bought_with_what_a_program_would_send() {
    let gateway = Gateway::sandbox();
    let buys = |arguments: &[&str]| {
        let output = gizad(&gateway, &[arguments, &["-y", "--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        let json: Value = serde_json::from_slice(&output.stdout).expect("the answer as it came");
        assert_eq!(json["state"], "SUCCEEDED", "{arguments:?}");
        json
    };
    let bought = buys(&["keys", "buy", "--product-id", "proxy-vn-dc", "--quantity", "2"]);
    let key = bought["purchase"]["key_id"].as_str().expect("a key").to_owned();
    assert_eq!(buys(&["keys", "renew", &key])["method"], "KeyService.RenewKey");
    for (name, command) in [
        ("LicenseService.BuyLicense", "licenses buy"),
        ("AccountOrderService.CreateAccountOrder", "account-orders create"),
    ] {
        let row = super::operations::rows().into_iter().find(|row| row.operation == name).expect("a row");
        let body = row.body.expect("a body").to_string();
        let words: Vec<&str> = command.split(' ').chain(["--data", &body]).collect();
        assert_eq!(buys(&words)["method"], name);
    }
}

fn buying<'a>(secret: &'a File, host: &'a str) -> Vec<&'a str> {
    vec![
        "vps",
        "create",
        "--plan-id",
        "26",
        "--hostname",
        host,
        "--os",
        "ubuntu-22.04",
        "--billing-cycle",
        "monthly",
        "--password-file",
        secret.path(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_bought_without_a_word_and_nothing_twice() {
    let gateway = Gateway::sandbox();
    let secret = File::new(&format!("cli-twice-{}", unique()), "StrongPass@123");
    let asked = buying(&secret, "api-1");
    // Nobody is there to be asked.
    let output = gizad(&gateway, &asked);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("--yes"));
    assert_eq!(gateway.executions().await, 0);

    // The key is said before anything is sent, and the same with it is the same purchase.
    let output = gizad(&gateway, &[&asked[..], &["--yes"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let key = said(&output)
        .split("--key ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("a key")
        .to_owned();
    let again = gizad(&gateway, &[&asked[..], &["--yes", "--key", &key]].concat());
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(out(&again), out(&output));
    assert_eq!(gateway.executions().await, 1);

    // Only a check: nothing is asked, and no key is needed.
    let checked = gizad(&gateway, &[&asked[..], &["--validate-only", "--json"]].concat());
    let json: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(json["preview"]["price_vnd"], 149_000);
    assert_eq!(gateway.executions().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_says_what_is_known() {
    let gateway = Gateway::sandbox();
    let secret = File::new(&format!("cli-ends-{}", unique()), "StrongPass@123");
    // Refused: why, what is wrong with each field, and what to do.
    let output = gizad(&gateway, &["vps", "create", "--data", r#"{"planid": 26}"#, "--yes"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for expected in [
        "INVALID_ARGUMENT",
        "planid: is no field of this request; did you mean plan_id?",
        "hostname:",
        "what to do:",
        "request_id:",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    // Nobody knows what became of it: a code of its own, and where to look.
    gateway.order(json!({"kind": "close_after", "action": "create_vps"})).await;
    let output = gizad(&gateway, &[&buying(&secret, "api-2")[..], &["--yes"]].concat());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    let look =
        text.split("gizad operations get ").nth(1).expect("where to look").lines().next().expect("a line");
    let seen = gizad(&gateway, &[&["operations", "get"], &look.split(' ').collect::<Vec<_>>()[..]].concat());
    assert!(out(&seen).contains("FOUND"), "{}", out(&seen));
    // A usage that is none, and a gizad that is not there.
    assert_eq!(gizad(&gateway, &["vps", "explode", "1"]).status.code(), Some(64));
    assert_eq!(run("http://127.0.0.1:1", &["vps"]).status.code(), Some(4));
    let far = run("http://203.0.113.7:7070", &["vps"]);
    assert_eq!(far.status.code(), Some(64), "no token goes over a network in the clear");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_decides_from_the_command_line() {
    let (asks, consents) = (token("asks"), token("consents"));
    let config = File::new(
        &format!("cli-callers-{}", unique()),
        &format!("{}\n{}\n[purchase]\napproval_from_vnd = 1\n", asks.1, consents.1),
    );
    let gateway = Gateway::start(&["--sandbox", "--config", config.path()], &[]);
    let secret = File::new(&format!("cli-decides-{}", unique()), "StrongPass@123");
    let (asks, consents) = (
        File::new(&format!("cli-asks-{}", unique()), &asks.0),
        File::new(&format!("cli-consents-{}", unique()), &consents.0),
    );
    let as_one = |file: &File, arguments: &[&str]| {
        gizad(&gateway, &[arguments, &["--token-file", file.path()]].concat())
    };
    let waits = |host: &str| {
        let output = as_one(&asks, &[&buying(&secret, host)[..], &["--yes", "--json"]].concat());
        assert_eq!(output.status.code(), Some(5), "taken and not ended: {}", said(&output));
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        json["operation_id"].as_str().expect("an identifier").to_owned()
    };
    let id = waits("api-1");
    assert_eq!(gateway.executions().await, 0);
    assert_eq!(
        as_one(&consents, &["operations", "approve", &id]).status.code(),
        Some(64),
        "nobody was asked"
    );
    assert_eq!(
        as_one(&asks, &["operations", "approve", &id, "--yes"]).status.code(),
        Some(1),
        "not by whoever asks"
    );
    let approved = as_one(&consents, &["operations", "approve", &id, "--yes"]);
    assert!(approved.status.success(), "{}", said(&approved));
    let ended = as_one(&consents, &["operations", "get", &id, "--wait", "20s"]);
    assert!(out(&ended).contains("SUCCEEDED"), "{}", out(&ended));
    let id = waits("api-2");
    let resolved = as_one(
        &consents,
        &["operations", "resolve", &id, "--outcome", "given_up", "--note", "không cần nữa", "--yes"],
    );
    assert!(
        resolved.status.success() && out(&resolved).contains("FAILED_NOT_SENT"),
        "{}{}",
        out(&resolved),
        said(&resolved)
    );
    assert_eq!(gateway.executions().await, 1);
}

/// A token, and its lines for the settings.
fn token(name: &str) -> (String, String) {
    let (token, text) = gizad::call::Token::new(name).expect("randomness");
    (text, gizad::settings::caller(name, &token, &gizad::call::Scope::ALL))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gizad_is_found_by_its_socket_and_its_settings() {
    let folder = Folder::new("cli-socket");
    std::fs::create_dir_all(folder.path()).expect("a folder");
    let socket = format!("{}/gizad.sock", folder.path());
    let gateway = Gateway::sandbox_with(&[("GIZAD_LISTEN_SOCKET", &socket)]);
    let without = |environment: &[(&str, &str)], arguments: &[&str]| {
        let mut gizad = Command::new(env!("CARGO_BIN_EXE_gizad"));
        gizad.args(arguments).env_remove("GIZAD_URL").env("XDG_RUNTIME_DIR", "/nonexistent");
        gizad.envs(environment.iter().copied()).stdin(Stdio::null()).output().expect("it runs")
    };
    let api = gateway.api.trim_start_matches("http://").to_owned();
    let config = File::new(&format!("cli-found-{}", unique()), &format!("[listen]\nsocket = \"{socket}\"\n"));
    for output in [
        without(&[("GIZAD_LISTEN_SOCKET", &socket)], &["wallet"]),
        without(&[("XDG_RUNTIME_DIR", folder.path())], &["wallet"]),
        without(&[("GIZAD_LISTEN_API", &api)], &["wallet"]),
        without(&[], &["wallet", "--config", config.path()]),
        without(&[], &["wallet", "--url", &format!("unix:{socket}")]),
    ] {
        assert!(out(&output).contains("5.000.000 ₫"), "{}", said(&output));
    }
    // What a caller sets is no setting of the daemon, and no mistake either.
    let checked = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["check", "--sandbox"])
        .envs([("GIZAD_URL", "x"), ("GIZAD_TOKEN", "gzd_canary"), ("GIZAD_TOKEN_FILE", "/nowhere")])
        .output()
        .expect("it runs");
    assert!(checked.status.success() && !out(&checked).contains("canary"), "{}", said(&checked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_can_be_watched() {
    let gateway = Gateway::sandbox();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(["operations", "watch", "--json", "--url", &gateway.api])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(watching.stdout.take().expect("piped")));
    let secret = File::new(&format!("cli-watch-{}", unique()), "StrongPass@123");
    let bought = gizad(&gateway, &[&buying(&secret, "api-1")[..], &["--yes"]].concat());
    assert!(bought.status.success(), "{}", said(&bought));
    // It may have come before the watch has begun; another is seen then, because the first is the mark to go on from.
    let again = gizad(&gateway, &[&buying(&secret, "api-2")[..], &["--yes"]].concat());
    assert!(again.status.success(), "{}", said(&again));
    let seen = tokio::task::spawn_blocking(move || {
        lines.map_while(Result::ok).find(|line| line.contains("SUCCEEDED") || line.contains("SENDING"))
    });
    let mut more = 3;
    let line = loop {
        if seen.is_finished() {
            break seen.await.expect("read").expect("a line");
        }
        let host = format!("api-{more}");
        more += 1;
        assert!(more < 30, "nothing was seen");
        let _bought = gizad(&gateway, &[&buying(&secret, &host)[..], &["--yes"]].concat());
    };
    let json: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(json["method"], "VpsService.CreateVps");
    let _gone = watching.kill();
    let _reaped = watching.wait();
}

#[test]
fn all_commands_are_completed_and_described() {
    let folder = Folder::new("cli-man");
    let made =
        Command::new(env!("CARGO_BIN_EXE_gizad")).args(["man", folder.path()]).output().expect("it runs");
    assert!(made.status.success(), "{}", said(&made));
    for shell in ["bash", "zsh", "fish"] {
        let printed =
            Command::new(env!("CARGO_BIN_EXE_gizad")).args(["completions", shell]).output().expect("it runs");
        let text = out(&printed);
        for (name, command, _) in COMMANDS {
            let words: Vec<&str> = command.split(' ').collect();
            let word = words
                .get(1)
                .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
                .filter(|word| !word.starts_with('-'));
            let word = word.unwrap_or(&words[0]);
            assert!(text.contains(word.trim_start_matches("list-")), "{shell}: {name}");
        }
    }
    for page in ["gizad.1", "gizad-vps.1", "gizad-vps-start.1", "gizad-deposit-check.1", "gizad-serve.1"] {
        let text = std::fs::read_to_string(format!("{}/{page}", folder.path())).expect(page);
        assert!(text.contains(".TH"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_leads_to_is_waited_for() {
    let gateway = Gateway::sandbox_with(&[
        ("GIZAD_SANDBOX_POWER_TIME", "1h"),
        ("GIZAD_WATCH_QUICK", "20ms"),
        ("GIZAD_WATCH_SLOW", "50ms"),
    ]);
    // Its time is up: what is missing is said, and the code is that of what has not ended.
    let late = gizad(&gateway, &["vps", "stop", "1", "--wait", "1s", "--yes"]);
    assert_eq!(late.status.code(), Some(5), "{}{}", out(&late), said(&late));
    assert!(said(&late).contains("power OFF is not seen yet"), "{}", said(&late));
    gateway.control("POST", "/advance", json!({"seconds": 3601})).await;
    let done = gizad(&gateway, &["vps", "stop", "1", "--wait", "20s", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", out(&done), said(&done));
    // With a body the wait stands in the query all the same.
    let late = gizad(&gateway, &["vps", "reboot", "2", "--wait", "1s", "--yes"]);
    assert_eq!(late.status.code(), Some(5), "{}{}", out(&late), said(&late));
}
