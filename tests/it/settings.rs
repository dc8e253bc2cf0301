//! Settings: every mistake at once, each with its path; nothing ignored; secrets masked.

use std::process::{Command, Output};

use super::rig::File;

fn gizad(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gizad"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn all_mistakes_come_at_once_each_with_its_path() {
    let file = File::new(
        "wrong",
        r#"
        [listen]
        api = "localhost"
        amdin = "127.0.0.1:1"
        [upstream]
        url = "http://api.example.vn/api"
        timeout = "soon"
        [upstream.words]
        NO_SUCH_REASON = ["x"]
        [actions]
        create_vps = "spend"
        vps_rdns = "harmless"
        [limits]
        body_bytes = 1
        [errors]
        pages = "errors"
        [log]
        level = "loud"
        format = "xml"
        "#,
    );
    let output = gizad(
        &["serve", "--config", file.path()],
        &[("GIZAD_LISTEN_ADMIN", "nowhere"), ("GIZAD_UPSTREM_URL", "x")],
    );
    let text = said(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    for expected in [
        "listen.api: expected an address and a port",
        "listen.amdin: there is no such setting; did you mean listen.admin?",
        "listen.admin: expected an address and a port, such as 127.0.0.1:7070 or [::1]:7070 (\"nowhere\", from GIZAD_LISTEN_ADMIN)",
        "GIZAD_UPSTREM_URL: this variable is no setting; did you mean GIZAD_UPSTREAM_URL?",
        "upstream.url: expected https; http would send the key in the clear to api.example.vn",
        "upstream.timeout: expected a duration",
        "upstream.words.NO_SUCH_REASON: expected a reason",
        "actions.create_vps: expected an action without an operation of its own",
        "actions.vps_rdns: expected one of read, secret, converge, once, spend",
        "limits.body_bytes: expected a whole number",
        "errors.pages: expected /errors/, or a URL",
        "log.level: expected a level",
        "log.format: expected one of auto, text, json",
        "credentials.identifier: expected",
        "credentials.secret: expected",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn the_settings_of_traffic_are_read_as_strictly() {
    let file = File::new(
        "traffic",
        r#"
        [deadline]
        read = "10m"
        [quota]
        burst = 0
        [pace]
        rate = "0/s"
        polls = ["VpsService.StopVps"]
        [retry]
        attempts = 0
        base = "10s"
        [breaker]
        percent = 101
        [cache]
        ttl = "31d"
        [cache.operations]
        WalletService.GetWalet.ttl = "2s"
        VpsService.StartVps.ttl = "2s"
        VpsService.OpenVpsConsole.ttl = "2s"
        VpsService.ListVps.tl = "1s"
        "#,
    );
    let output = gizad(&["check", "--sandbox", "--config", file.path()], &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    for expected in [
        "12 mistakes in the settings",
        "deadline.read: expected a time from deadline.least to deadline.longest (\"10m\", from",
        "quota.burst: expected a whole number from 1",
        "pace.rate: expected a rate such as 10/s",
        "pace.polls: expected an operation that reads; VpsService.StopVps is of the effect converge",
        "retry.attempts: expected a whole number from 1 to 10",
        "retry.base: expected no more than retry.longest",
        "breaker.percent: expected a whole number from 1 to 100",
        "cache.ttl: expected a time from 0s to 30d",
        "cache.operations.WalletService.GetWalet.ttl: expected operations as `gizad routes` lists them",
        "did you mean WalletService.GetWallet?",
        "cache.operations.VpsService.StartVps.ttl: expected an operation that reads",
        "cache.operations.VpsService.OpenVpsConsole.ttl: expected an operation that reads; VpsService.OpenVpsConsole is of the effect secret",
        "cache.operations.VpsService.ListVps.tl: expected one of ttl, stale_while_revalidate",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn the_settings_of_purchases_are_read_as_strictly() {
    let file = File::new(
        "purchases",
        r#"
        [shared]
        url = "mysql://host/database"
        ca_file = "/nowhere/ca.pem"
        max_replicas = 21
        connections = 3
        statement_timeout = "2m"
        [cache.operations]
        WalletService.GetWallet.ttl = "2s"
        [purchase]
        require_key = "sometimes"
        approval_from_vnd = "much"
        quiet = "soon"
        readings = 1
        [budget]
        purchase_vnd = -1
        day_vnd = "1.5"
        month_vnd = "unlimited"
        [budget.callers]
        ci.week_vnd = 5
        ci.day_vnd = "x"
        [protected]
        vps = "web 01"
        "#,
    );
    let output = gizad(&["check", "--sandbox", "--config", file.path()], &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    for expected in [
        "shared.url: expected a URL such as postgres://",
        "shared.max_replicas: expected no more than pace.burst, which is 20",
        "shared.connections: expected a whole number from 4",
        "shared.statement_timeout: expected a time from 100ms to 60s",
        "cache.operations.WalletService.GetWallet.ttl: expected operations of the public catalog",
        "shared.ca_file: expected a readable file with certificates in PEM",
        "purchase.require_key: expected",
        "purchase.approval_from_vnd: expected an amount in whole đồng",
        "purchase.quiet: expected a duration",
        "purchase.readings: expected a whole number from 2",
        "budget.purchase_vnd: expected an amount in whole đồng",
        "budget.day_vnd: expected an amount in whole đồng",
        "budget.month_vnd: expected an amount in whole đồng",
        "budget.callers.ci.week_vnd: expected the name of a caller and one of purchase_vnd, day_vnd, month_vnd",
        "budget.callers.ci.day_vnd: expected an amount in whole đồng",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

/// Whoever sets how much is shared counts on its being shared.
#[test]
fn what_counts_on_others_is_refused_where_nothing_is_shared() {
    let file = File::new("alone", "[shared]\nmax_replicas = 3\nstatement_timeout = \"5s\"\n");
    let output = gizad(&["check", "--sandbox", "--config", file.path()], &[]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("shared.max_replicas: expected shared.url or shared.url_file as well"), "{text}");
    assert!(!text.contains("statement_timeout"), "it says nothing new: {text}");
}

#[test]
fn the_password_of_the_ledger_is_shown_to_nobody() {
    let url = ("GIZAD_SHARED_URL", "postgres://gizad:pass-canary@db.example/gizad");
    let output = gizad(&["check", "--sandbox"], &[url]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains("canary"), "{text}");
    let wrong = gizad(
        &["check", "--sandbox"],
        &[("GIZAD_SHARED_URL", "postgre://gizad:pass-canary@db.example/gizad")],
    );
    assert!(!said(&wrong).contains("canary") && wrong.status.code() == Some(64), "{}", said(&wrong));
}

#[test]
fn the_secret_is_refused_on_the_command_line() {
    let output = gizad(&["serve", "--secret", "hunter2-canary"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(
        said(&output).contains("GIZAD_CREDENTIALS_SECRET") && !said(&output).contains("canary"),
        "{}",
        said(&output)
    );
    assert_eq!(gizad(&["serve", "--no-such-flag"], &[]).status.code(), Some(64));
}

#[test]
fn a_file_with_a_syntax_error_is_named_without_its_contents() {
    let file = File::new("syntax", "[credentials]\nidentifier = \"x\"\nsecret = \"canary-in-a-line\n");
    let output = gizad(&["check", "--config", file.path()], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("line 3") && !said(&output).contains("canary"), "{}", said(&output));
    let missing = gizad(&["check", "--config", "/no/such/file"], &[]);
    assert!(
        said(&missing).contains("/no/such/file: the file of --config cannot be read"),
        "{}",
        said(&missing)
    );
}

#[test]
fn check_shows_what_is_used_and_where_it_comes_from_with_the_secret_masked() {
    let file = File::new(
        "check",
        "[upstream]\ntimeout = \"9s\"\n[actions]\nvps_rdns = \"converge\"\n[cache.operations]\nVpsService.ListVps.ttl = \"2s\"\n",
    );
    let environment = [
        ("GIZAD_CREDENTIALS_IDENTIFIER", "id-1"),
        ("GIZAD_CREDENTIALS_SECRET", "canary-77"),
        ("GIZAD_LISTEN_API", "127.0.0.1:1234"),
    ];
    let output = gizad(&["check", "--config", file.path()], &environment);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!text.contains("canary") && !said(&output).contains("canary"), "{text}");
    for line in [
        "api = \"127.0.0.1:1234\"  # from GIZAD_LISTEN_API".to_owned(),
        format!("timeout = \"9s\"  # from {}", file.path()),
        "secret = \"[masked]\"  # from GIZAD_CREDENTIALS_SECRET".to_owned(),
        "connect_timeout = \"5s\"".to_owned(),
        "vps_rdns = \"converge\"".to_owned(),
        "[cache.operations.VpsService.ListVps]".to_owned(),
    ] {
        assert!(text.lines().any(|shown| shown.starts_with(&line)), "{line:?} in {text}");
    }
    // What it prints is a file of settings again.
    let again = File::new("again", &text.replace("[masked]", "x"));
    assert_eq!(gizad(&["check", "--config", again.path()], &[]).status.code(), Some(0));
}

#[test]
fn the_secret_may_come_from_a_file_but_not_from_two_places() {
    let secret = File::new("secret", "canary-88\n");
    let identifier = ("GIZAD_CREDENTIALS_IDENTIFIER", "id");
    let from_file = ("GIZAD_CREDENTIALS_SECRET_FILE", secret.path());
    assert_eq!(gizad(&["check"], &[identifier, from_file]).status.code(), Some(0));
    let both = gizad(&["check"], &[identifier, from_file, ("GIZAD_CREDENTIALS_SECRET", "canary-99")]);
    assert_eq!(both.status.code(), Some(64));
    assert!(said(&both).contains("not both") && !said(&both).contains("canary"), "{}", said(&both));
    let gone = gizad(&["check"], &[identifier, ("GIZAD_CREDENTIALS_SECRET_FILE", "/no/such/secret")]);
    assert!(
        said(&gone).contains("credentials.secret_file: expected a file that can be read"),
        "{}",
        said(&gone)
    );
}

#[test]
fn only_loopback_is_served_with_real_credentials() {
    let real = [
        ("GIZAD_CREDENTIALS_IDENTIFIER", "id"),
        ("GIZAD_CREDENTIALS_SECRET", "s"),
        ("GIZAD_LISTEN_API", "0.0.0.0:7070"),
    ];
    let output = gizad(&["check"], &real);
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("listen.api: expected a loopback address"), "{}", said(&output));
    assert_eq!(gizad(&["check", "--sandbox"], &real[2..]).status.code(), Some(0));
}

/// Kubernetes sets such variables in every pod beside a Service that is called gizad.
#[test]
fn the_variables_of_a_kubernetes_service_are_no_mistake() {
    let service = [
        ("GIZAD_SERVICE_HOST", "10.0.0.1"),
        ("GIZAD_SERVICE_PORT", "7070"),
        ("GIZAD_PORT", "tcp://10.0.0.1:7070"),
        ("GIZAD_PORT_7070_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(gizad(&["check", "--sandbox"], &service).status.code(), Some(0));
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = gizad(&["serve", "--sandbox", "--listen", &address, "--admin-listen", "127.0.0.1:0"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&format!("cannot listen on {address}")), "{}", said(&output));
}

#[test]
fn what_cannot_work_is_refused_and_no_password_is_shown() {
    let file = File::new("cannot", "[nonsense]\n[actions]\n\"a.b\" = \"read\"\n");
    let environment = [
        ("GIZAD_UPSTREAM_URL", "https://user:hunter2-canary@x/api"),
        ("GIZAD_UPSTREAM_TIMEOUT", "10m"),
        ("GIZAD_SHUTDOWN_DELAY", "soon"),
        ("GIZAD_RELOAD_EVERY", "1ms"),
        ("GIZAD_CREDENTIALS_IDENTIFIER", "  "),
        ("GIZAD_CREDENTIALS_SECRET", "a\nb-canary"),
    ];
    let output = gizad(&["check", "--config", file.path()], &environment);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(
        !text.contains("canary") && !String::from_utf8_lossy(&output.stdout).contains("canary"),
        "{text}"
    );
    for expected in [
        "nonsense: there is no such setting",
        "actions.a.b: expected a name of letters",
        "upstream.url: expected a URL",
        "shutdown.grace: expected no less than upstream.timeout",
        "shutdown.delay: expected a duration from 0s to 24h, such as 5s (\"soon\", from GIZAD_SHUTDOWN_DELAY)",
        "reload.every: expected a duration from 50ms to 1h, such as 1s, or \"off\" (\"1ms\", from GIZAD_RELOAD_EVERY)",
        "credentials.identifier: expected a text on one line",
        "credentials.secret: expected a text on one line",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn flags_are_settings_like_any_other() {
    let output = gizad(&["serve", "--sandbox", "--listen", "localhost:7070", "--admin-listen", "7071"], &[]);
    assert_eq!(output.status.code(), Some(64));
    for expected in ["listen.api: expected an address and a port", "(\"7071\", from a flag)"] {
        assert!(said(&output).contains(expected), "{expected:?} in {}", said(&output));
    }
    let same =
        gizad(&["serve", "--sandbox", "--listen", "127.0.0.1:7", "--admin-listen", "127.0.0.1:7"], &[]);
    assert!(said(&same).contains("listen.admin: expected another address"), "{}", said(&same));
    let distant = gizad(&["check", "--sandbox"], &[("GIZAD_X", "1"), ("GIZAD_LISTEN_APY", "1")]);
    assert!(said(&distant).contains("GIZAD_X: this variable is no setting; deploy"), "{}", said(&distant));
    assert!(said(&distant).contains("did you mean GIZAD_LISTEN_API?"), "{}", said(&distant));
    let wrong_url = gizad(&["check", "--sandbox"], &[("GIZAD_UPSTREAM_URL", "ftp://x")]);
    assert_eq!(wrong_url.status.code(), Some(64), "a wrong setting is wrong in the sandbox too");
}

#[test]
fn the_account_is_not_looked_at_too_often_for_metrics() {
    for (interval, everyone, wrong) in [
        (
            "59s",
            "yes",
            &[
                "metrics.account.interval: expected a duration from 1m to 24h",
                "metrics.everyone: expected true or false",
            ][..],
        ),
        ("25h", "true", &["metrics.account.interval: expected a duration from 1m to 24h"]),
        (
            "often",
            "false",
            &["metrics.account.interval: expected a duration from 1m to 24h, such as 5m, or \"off\""],
        ),
    ] {
        let environment =
            [("GIZAD_METRICS_ACCOUNT_INTERVAL", interval), ("GIZAD_METRICS_EVERYONE", everyone)];
        let output = gizad(&["check", "--sandbox"], &environment);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(wrong.iter().all(|wrong| text.contains(wrong)), "{text}");
        assert_eq!(text.matches("metrics.").count(), wrong.len(), "{text}");
    }
    for interval in ["off", "1m", "24h"] {
        let output = gizad(&["check", "--sandbox"], &[("GIZAD_METRICS_ACCOUNT_INTERVAL", interval)]);
        assert!(output.status.success(), "{}", said(&output));
    }
}
