//! Waiting for what a call leads to, and watching what changes: what counts as seen, how often the provider is asked, who may,
//! and how it ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::access::{House, order, token};
use super::rig::{Gateway, PATIENCE, contract, message, operation, unique};
use crate::codec::Dynamic;

/// Looks that follow each other at once, and a start that looks first, as it does by default.
const QUICK: [(&str, &str); 3] =
    [("GIZAD_WATCH_QUICK", "20ms"), ("GIZAD_WATCH_SLOW", "50ms"), ("GIZAD_WATCH_LOOK_FIRST", "true")];
/// One look, and none for an hour.
const ONCE: [(&str, &str); 2] = [("GIZAD_WATCH_QUICK", "1h"), ("GIZAD_WATCH_SLOW", "1h")];

fn with(base: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]) -> Gateway {
    // What is said later counts.
    let all: Vec<_> = base.iter().chain(more).copied().collect();
    Gateway::sandbox_with(&all)
}

/// What the stand-in is to answer instead.
fn answer(action: &str, times: u32, status: u16, body: &Value) -> Value {
    json!({"kind": "answer", "action": action, "times": times, "status": status, "body": body.to_string()})
}

fn power(word: &str) -> Value {
    json!({"success": true, "data": {"vpsid": 1, "status": word}})
}

/// One server-sent event.
#[derive(Debug)]
pub struct Event {
    name: String,
    id: String,
    pub data: Value,
}

/// A stream of them.
pub struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    pub async fn open(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = gateway.http.get(format!("{}{path}", gateway.api));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("gizad answers");
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, text: String::new() }
    }

    /// The next one; nothing if the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let of = |line: &str| line.strip_prefix(&format!("{name}: ")).map(str::to_owned);
                    block.lines().find_map(of)
                };
                if let Some(data) = field("data") {
                    let data = serde_json::from_str(&data).expect("JSON");
                    let name = field("event").unwrap_or_else(|| "message".to_owned());
                    return Some(Event { name, id: field("id").unwrap_or_default(), data });
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("in time");
            self.text += std::str::from_utf8(&chunk.expect("whole")?).expect("text");
        }
    }

    pub async fn expect(&mut self) -> Event {
        self.next().await.expect("one more")
    }
}

/// A stream of gRPC.
async fn stream(
    gateway: &Gateway,
    channel: tonic::transport::Channel,
    name: &str,
    request: &Value,
) -> Result<tonic::Streaming<prost_reflect::DynamicMessage>, tonic::Status> {
    let _same = gateway;
    let operation = operation(name);
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("a connection");
    let codec = Dynamic::new(operation.output.descriptor.clone());
    let request = tonic::Request::new(message(operation, request));
    let path = operation.grpc_path.parse().expect("a path");
    client.server_streaming(request, path, codec).await.map(tonic::Response::into_inner)
}

fn state(message: &prost_reflect::DynamicMessage, field: &str) -> i32 {
    message.get_field_by_name(field).and_then(|value| value.as_enum_number()).expect("a state")
}

#[tokio::test]
async fn what_is_so_already_is_not_sent() {
    let gateway = with(&QUICK, &[]);
    let started = gateway.rest("POST", "/vps/1/start", None).await;
    assert_eq!((started.status, &started.json()["changed"]), (200, &json!(false)), "{}", started.text);
    assert_eq!((gateway.sent("vps_action").await.len(), gateway.sent("vps_status").await.len()), (0, 1));
    let waited = gateway.rest("POST", "/vps/1/start?wait=10s", None).await.json();
    assert_eq!((&waited["changed"], &waited["waited"]["reached"]), (&json!(false), &json!(true)), "{waited}");
    let over_grpc =
        gateway.grpc(operation("VpsService.StartVps"), &json!({"vps_id": 1})).await.expect("a reply");
    assert_eq!(over_grpc["changed"], false);
    assert_eq!(gateway.sent("vps_action").await.len(), 0);
    // Off: then there is something to do, and it is said that it was.
    let stopped = gateway.rest("POST", "/vps/1/stop?wait=10s", None).await.json();
    assert_eq!((&stopped["changed"], &stopped["pending"]), (&json!(true), &json!(false)), "{stopped}");
    let again = gateway.rest("POST", "/vps/1/stop", None).await.json();
    assert_eq!(again["changed"], false);
    assert_eq!(gateway.sent("vps_action").await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_seen_or_may_be_old_is_sent() {
    let gateway = with(&QUICK, &[("GIZAD_SANDBOX_POWER_TIME", "1h")]);
    for unclear in [
        answer("vps_status", 1, 200, &power("unheard-of")),
        json!({"kind": "error500", "action": "vps_status"}),
    ] {
        gateway.order(unclear).await;
        gateway.forget().await;
        let started = gateway.rest("POST", "/vps/1/start", None).await;
        assert_eq!((started.status, &started.json()["changed"]), (200, &Value::Null), "{}", started.text);
        assert_eq!(gateway.sent("vps_action").await.len(), 1);
    }
    // It is seen to run for an hour more, but gizad has had it stopped.
    assert_eq!(gateway.rest("POST", "/vps/1/stop", None).await.status, 200);
    gateway.forget().await;
    let started = gateway.rest("POST", "/vps/1/start", None).await.json();
    assert_eq!((&started["changed"], gateway.sent("vps_action").await.len()), (&Value::Null, 1), "{started}");
    // A start that is refused takes nothing back of the stop before it.
    assert_eq!(gateway.rest("POST", "/vps/1/stop", None).await.status, 200);
    let busy = json!({"success": false, "message": "VPS đang thực hiện tác vụ khác"}).to_string();
    gateway.order(json!({"kind": "answer", "action": "vps_action", "body": busy})).await;
    let refused = gateway.rest("POST", "/vps/1/start", None).await;
    assert_eq!((refused.status, refused.reason().as_str()), (409, "BUSY"), "{}", refused.text);
    gateway.forget().await;
    let started = gateway.rest("POST", "/vps/1/start", None).await.json();
    assert_eq!((&started["changed"], gateway.sent("vps_action").await.len()), (&Value::Null, 1), "{started}");
}

/// What is told was chosen by what its reader might have when it began.
#[tokio::test]
async fn whoever_may_less_than_at_the_beginning_is_told_no_more() {
    let ((boss, mut lines), (buyer, buys)) = (token("boss", "read,admin"), token("buyer", "read,spend"));
    let house = House::new(&format!("{lines}{buys}"), &QUICK);
    let bearer = format!("Bearer {boss}");
    let mut events = Events::open(&house.gateway, "/operations/events", &[("authorization", &bearer)]).await;
    assert_eq!(house.buy(&buyer, "first", "api-1").await.status, 201);
    assert_eq!(events.expect().await.data["caller"], "buyer", "an admin sees all");
    lines = lines.replace("\"admin\"", "\"write\"");
    house.now(&format!("{lines}{buys}"), "settings taken over").await;
    assert_eq!(house.buy(&buyer, "second", "api-2").await.status, 201);
    loop {
        let event = events.expect().await;
        if event.name == "problem" {
            assert_eq!(event.data["reason"], "SCOPE_MISSING", "{event:?}");
            break;
        }
        // What was under way to it when it still might.
        assert_ne!(event.data["key"], "second", "{event:?}");
    }
}

#[tokio::test]
async fn an_answer_comes_when_it_was_seen_twice() {
    let gateway = with(&QUICK, &[("GIZAD_SANDBOX_POWER_TIME", "500ms")]);
    let stopped = gateway.rest("POST", "/vps/1/stop?wait=15s", None).await.json();
    let waited = &stopped["waited"];
    assert_eq!(
        (&waited["reached"], &waited["wanted"], &waited["seen"]),
        (&json!(true), &json!("power OFF"), &json!("power OFF"))
    );
    assert_eq!((&waited["seen_otherwise"], &waited["outstanding"]), (&json!(true), &json!("")), "{waited}");
    let started = gateway.grpc(operation("VpsService.StartVps"), &json!({"vps_id": 1, "wait": "15s"})).await;
    let started = started.expect("a reply");
    assert_eq!(
        (&started["waited"]["reached"], &started["changed"]),
        (&json!(true), &json!(true)),
        "{started}"
    );
    let key = unique();
    let body = Some(("application/json", b"{}".to_vec()));
    let rebooted = gateway
        .send("POST", "/vps/1/reboot?wait=15s", body.clone(), &[("idempotency-key", &key)])
        .await
        .json();
    assert_eq!(
        (&rebooted["waited"]["reached"], &rebooted["waited"]["seen_otherwise"]),
        (&json!(true), &json!(true))
    );
    // The same under the same key is waited for again, and not done again.
    let again =
        gateway.send("POST", "/vps/1/reboot?wait=15s", body, &[("idempotency-key", &key)]).await.json();
    assert_eq!(again["waited"]["reached"], true, "{again}");
    assert_eq!(gateway.control("GET", "/state", json!({})).await["services"][0]["reboots"], 1);
}

#[tokio::test]
async fn one_look_is_none() {
    let gateway = with(&QUICK, &[("GIZAD_SANDBOX_POWER_TIME", "1h"), ("GIZAD_WATCH_LOOK_FIRST", "false")]);
    gateway.order(answer("vps_status", 1, 200, &power("stopped"))).await;
    let stopped = gateway.rest("POST", "/vps/1/stop?wait=1s", None).await;
    assert_eq!(stopped.status, 200);
    let stopped = stopped.json();
    assert_eq!(
        (&stopped["pending"], &stopped["waited"]["reached"]),
        (&json!(true), &json!(false)),
        "{stopped}"
    );
    assert_eq!(stopped["waited"]["outstanding"], "power OFF is not seen yet: power ON was");
    assert!(gateway.sent("vps_status").await.len() > 2);
}

#[tokio::test]
async fn when_the_time_is_up_it_is_said_what_is_outstanding() {
    let gateway = with(&QUICK, &[("GIZAD_UPSTREAM_TIMEOUT", "300ms")]);
    gateway.order(json!({"kind": "stall", "action": "vps_status", "times": 1000})).await;
    let stopped = gateway.rest("POST", "/vps/1/stop?wait=1s", None).await;
    let told = stopped.json();
    assert_eq!(
        (stopped.status, &told["pending"], &told["waited"]["seen"]),
        (200, &json!(true), &json!("")),
        "{told}"
    );
    let outstanding = told["waited"]["outstanding"].as_str().expect("text");
    assert!(
        outstanding.contains("power OFF is not seen yet") && outstanding.contains("UPSTREAM_TIMEOUT"),
        "{told}"
    );
    // The caller's own time bounds it, too.
    let headers = [("request-timeout", "2s")];
    let bounded = gateway.send("POST", "/vps/1/stop?wait=9999s", None, &headers).await;
    assert_eq!((bounded.status, &bounded.json()["pending"]), (200, &json!(true)), "{}", bounded.text);
    let wrong = gateway.rest("POST", "/vps/1/stop?wait=soon", None).await;
    assert_eq!(
        (wrong.status, wrong.json()["violations"][0]["field"].as_str()),
        (422, Some("wait")),
        "{}",
        wrong.text
    );
    let misplaced = gateway.post("/vps/1/reboot", json!({"wait": "1s"})).await;
    assert_eq!(misplaced.json()["violations"][0]["description"], "is read from the query, not from a body");
}

#[tokio::test]
async fn what_cannot_come_any_more_ends_the_wait() {
    let gateway = with(&QUICK, &[("GIZAD_WATCH_LOOK_FIRST", "false")]);
    gateway.order(answer("vps_status", 1000, 200, &power("suspended"))).await;
    let started = gateway.rest("POST", "/vps/1/start?wait=15s", None).await;
    assert_eq!((started.status, started.reason().as_str()), (409, "WAITED_IN_VAIN"), "{}", started.text);
    assert_eq!(started.json()["sent"], "answered");
    assert!(started.text.contains("power PAUSED"), "{}", started.text);
    let status = gateway.grpc(operation("VpsService.StartVps"), &json!({"vps_id": 1, "wait": "15s"})).await;
    assert_eq!(status.expect_err("in vain").code(), tonic::Code::FailedPrecondition);
    gateway.control("DELETE", "/faults", json!({})).await;
    let missing = json!({"success": false, "message": "Không tìm thấy dịch vụ 1"});
    gateway.order(answer("vps_status", 1000, 404, &missing)).await;
    let gone = gateway.rest("POST", "/vps/1/stop?wait=15s", None).await;
    assert_eq!((gone.status, gone.reason().as_str()), (409, "WAITED_IN_VAIN"), "{}", gone.text);
    assert!(gone.text.contains("no such thing any more"), "{}", gone.text);
}

#[tokio::test]
async fn what_is_bought_or_installed_is_waited_for_until_it_runs() {
    let gateway =
        with(&QUICK, &[("GIZAD_SANDBOX_INSTALL_TIME", "400ms"), ("GIZAD_SANDBOX_DEPOSIT_TIME", "400ms")]);
    let key = unique();
    let bought = gateway.buy(&key, "/vps?wait=15s", &order("waits-01")).await;
    assert_eq!(bought.status, 201, "{}", bought.text);
    let told = bought.json();
    assert_eq!(
        (&told["waited"]["reached"], &told["waited"]["wanted"]),
        (&json!(true), &json!("power ON")),
        "{told}"
    );
    // The wait is no part of what the key stands for.
    let again = gateway.buy(&key, "/vps", &order("waits-01")).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(again.json()["waited"], Value::Null);
    assert_eq!(gateway.executions().await, 1);
    let anew = json!({"os": "debian-12", "confirm_hostname": "db-01"});
    let installed = gateway.post("/vps/2/reinstall?wait=15s", anew).await.json();
    assert_eq!(
        (&installed["waited"]["reached"], &installed["waited"]["seen_otherwise"]),
        (&json!(true), &json!(true))
    );
    let deposit = gateway.post("/wallet/deposits", json!({"amount_vnd": 100_000})).await.json();
    let path = format!("/wallet/deposits/{}/check?wait=15s", deposit["order_id"].as_str().expect("text"));
    let paid = gateway.rest("POST", &path, None).await.json();
    assert_eq!((&paid["state"], &paid["waited"]["reached"]), (&json!("PAID"), &json!(true)), "{paid}");
    let unknown = gateway.rest("POST", "/wallet/deposits/GZ999/check?wait=15s", None).await;
    assert_eq!((unknown.status, unknown.reason().as_str()), (404, "NOT_FOUND"), "{}", unknown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watchers_are_one_look() {
    let gateway = with(&ONCE, &[("GIZAD_WATCH_STREAMS", "2000")]);
    let mut streams = Vec::new();
    for _connection in 0..5 {
        let channel = gateway.channel().await;
        for _stream in 0..200 {
            streams.push(
                stream(&gateway, channel.clone(), "VpsService.WatchVps", &json!({"vps_id": 1}))
                    .await
                    .expect("a stream"),
            );
        }
    }
    for stream in &mut streams {
        let first = stream.message().await.expect("no error").expect("one");
        assert_eq!(state(&first, "power"), 1);
    }
    let mut browser = Events::open(&gateway, "/vps/1/events", &[]).await;
    assert_eq!(browser.expect().await.data["power"], "ON");
    assert_eq!(gateway.sent("vps_status").await.len(), 1);
}

#[tokio::test]
async fn a_change_is_told_to_everybody_and_nothing_is_told_twice() {
    let gateway = with(&QUICK, &[]);
    let mut events = Events::open(&gateway, "/v1/vps/1/events", &[]).await;
    let mut streamed =
        stream(&gateway, gateway.channel().await, "VpsService.WatchVps", &json!({"vps_id": 1}))
            .await
            .expect("a stream");
    let on = events.expect().await;
    assert_eq!((on.name.as_str(), &on.data["power"]), ("message", &json!("ON")));
    assert_eq!(state(&streamed.message().await.expect("fine").expect("one"), "power"), 1);
    assert_eq!(gateway.rest("POST", "/vps/1/stop", None).await.status, 200);
    let off = events.expect().await;
    assert_eq!(off.data["power"], "OFF");
    assert_eq!(state(&streamed.message().await.expect("fine").expect("one"), "power"), 2);
    // Whoever comes back with what it had last is told what has changed since, and that alone.
    let mut back = Events::open(&gateway, "/vps/1/events", &[("last-event-id", &off.id)]).await;
    assert_eq!(gateway.rest("POST", "/vps/1/start", None).await.status, 200);
    assert_eq!(back.expect().await.data["power"], "ON");
    // How often it was looked has nothing to do with how many looked.
    drop((events, back, streamed));
    let line = gateway.logged("\"operation\":\"VpsService.WatchVps\"").await;
    assert!(
        line.contains("\"outcome\":\"CANCELLED\"") && line.contains("nobody listened any more"),
        "{line}"
    );
}

#[tokio::test]
async fn a_deposit_is_watched_until_it_is_paid() {
    let gateway = with(&QUICK, &[("GIZAD_SANDBOX_DEPOSIT_TIME", "1s")]);
    let deposit = gateway.post("/wallet/deposits", json!({"amount_vnd": 100_000})).await.json();
    let id = deposit["order_id"].as_str().expect("text").to_owned();
    let path = format!("/wallet/deposits/{id}/events");
    let mut events = Events::open(&gateway, &path, &[]).await;
    let mut streamed =
        stream(&gateway, gateway.channel().await, "WalletService.WatchDeposit", &json!({"order_id": id}))
            .await
            .expect("one");
    let mut last = events.expect().await;
    while last.data["state"] != "PAID" {
        last = events.expect().await;
    }
    let end = events.expect().await;
    assert_eq!(end.name, "end");
    assert!(events.next().await.is_none());
    let mut seen = Vec::new();
    while let Some(one) = streamed.message().await.expect("it ends well") {
        seen.push(state(&one, "state"));
    }
    assert_eq!(seen.last(), Some(&2), "{seen:?}");
    // A browser comes back, and is told that there is nothing more.
    let back = gateway.send("GET", &path, None, &[("last-event-id", &last.id)]).await;
    assert_eq!((back.status, back.text.as_str()), (204, ""));
    let missing = gateway.get("/wallet/deposits/GZ999/events").await;
    assert_eq!((missing.status, missing.reason().as_str()), (404, "NOT_FOUND"), "{}", missing.text);
}

#[tokio::test]
async fn operations_are_streamed_as_events_and_a_reader_goes_on_where_it_was() {
    let gateway = with(&QUICK, &[]);
    let mut events = Events::open(&gateway, "/operations/events", &[]).await;
    let (first, second) = (unique(), unique());
    assert_eq!(gateway.buy(&first, "/vps", &order("seen-01")).await.status, 201);
    let mut told = events.expect().await;
    while told.data["request_id"] != json!(first) || told.data["state"] != "SUCCEEDED" {
        told = events.expect().await;
    }
    drop(events);
    assert_eq!(gateway.buy(&second, "/vps", &order("seen-02")).await.status, 201);
    let mut back = Events::open(&gateway, "/operations/events", &[("last-event-id", &told.id)]).await;
    let missed = back.expect().await;
    assert_eq!((&missed.data["request_id"], &missed.data["state"]), (&json!(second), &json!("SUCCEEDED")));
    let wrong = gateway.send("GET", "/operations/events", None, &[("last-event-id", "x")]).await;
    assert_eq!((wrong.status, wrong.json()["violations"][0]["field"].as_str()), (400, Some("last-event-id")));
}

#[tokio::test]
async fn a_caller_has_so_many_streams() {
    let gateway = with(&QUICK, &[("GIZAD_WATCH_STREAMS", "2")]);
    let first = Events::open(&gateway, "/vps/1/events", &[]).await;
    let _second = Events::open(&gateway, "/operations/events", &[]).await;
    for path in ["/vps/2/events", "/operations/events"] {
        let refused = gateway.get(path).await;
        assert_eq!((refused.status, refused.reason().as_str()), (429, "QUOTA_EXCEEDED"), "{}", refused.text);
        assert_eq!(refused.json()["violated-policies"], json!(["streams"]));
    }
    drop(first);
    let begun = Instant::now();
    while gateway.http.get(format!("{}/vps/2/events", gateway.api)).send().await.expect("an answer").status()
        != 200
    {
        assert!(begun.elapsed() < PATIENCE, "the place is free again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_may_not_read_may_not_watch_and_who_may_not_any_more_is_sent_away() {
    let (reader, reads) = token("reader", "read");
    let (writer, writes) = token("writer", "write");
    let listed = "operations = [\"VpsService.GetVps\"]\n";
    let (barred, bars) = token("barred", "read");
    let settings = format!("{reads}{writes}{bars}{listed}");
    let house = House::new(&settings, &QUICK);
    for watch in contract().watches() {
        let path = watch.path.template().replace("{vps_id}", "1").replace("{order_id}", "GZ1");
        let why = |token: &str| {
            let (house, token, path) = (&house, token.to_owned(), path.clone());
            async move { house.get(&token, &path).await }
        };
        for (token, status, reason) in [
            ("", 401, "UNAUTHENTICATED"),
            ("gzd_nobody_x", 401, "UNAUTHENTICATED"),
            (&writer, 403, "SCOPE_MISSING"),
            (&barred, 403, "OPERATION_NOT_GRANTED"),
        ] {
            let refused = why(token).await;
            assert_eq!(
                (refused.status, refused.reason().as_str()),
                (status, reason),
                "{path}: {}",
                refused.text
            );
        }
        let cross = [("sec-fetch-site", "cross-site"), ("authorization", &*format!("Bearer {reader}"))];
        let page = house.gateway.send("GET", &path, None, &cross).await;
        assert_eq!((page.status, page.reason().as_str()), (403, "CROSS_SITE"));
    }
    assert_eq!(house.provider.seen().await, Vec::<String>::new(), "what is refused reaches nobody");
    let bearer = format!("Bearer {reader}");
    let mut events = Events::open(&house.gateway, "/vps/1/events", &[("authorization", &bearer)]).await;
    assert_eq!(events.expect().await.data["power"], "ON");
    house.now(&format!("{writes}{bars}{listed}"), "settings taken over").await;
    let bearer = format!("Bearer {writer}");
    let stopped = house.gateway.send("POST", "/vps/1/stop", None, &[("authorization", &bearer)]).await;
    assert_eq!(stopped.status, 200);
    let last = events.expect().await;
    assert_eq!(
        (last.name.as_str(), &last.data["reason"]),
        ("problem", &json!("UNAUTHENTICATED")),
        "{last:?}"
    );
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn everything_that_waits_ends_when_gizad_stops() {
    let mut gateway = with(&QUICK, &[("GIZAD_SANDBOX_POWER_TIME", "1h"), ("GIZAD_DEADLINE_LONGEST", "5m")]);
    let mut events = Events::open(&gateway, "/vps/1/events", &[]).await;
    let mut operations = Events::open(&gateway, "/operations/events", &[]).await;
    events.expect().await;
    let mut streamed =
        stream(&gateway, gateway.channel().await, "VpsService.WatchVps", &json!({"vps_id": 1}))
            .await
            .expect("a stream");
    streamed.message().await.expect("fine").expect("one");
    let url = format!("{}/vps/1/stop?wait=4m", gateway.api);
    let waiting = tokio::spawn(gateway.http.post(url).send());
    gateway.reached("vps_action").await;
    gateway.signal("TERM");
    for events in [&mut events, &mut operations] {
        let last = events.expect().await;
        assert_eq!(
            (last.name.as_str(), &last.data["reason"]),
            ("problem", &json!("SHUTTING_DOWN")),
            "{last:?}"
        );
        assert!(events.next().await.is_none());
    }
    assert_eq!(streamed.message().await.expect_err("it ends").code(), tonic::Code::Unavailable);
    let waited = waiting.await.expect("no panic").expect("an answer");
    assert_eq!(waited.status(), 200);
    let waited: Value = serde_json::from_str(&waited.text().await.expect("whole")).expect("JSON");
    assert_eq!((&waited["pending"], &waited["waited"]["reached"]), (&json!(true), &json!(false)));
    assert!(gateway.ended().await.success());
}
