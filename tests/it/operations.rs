//! Every operation, in every personality of the provider, over REST and over gRPC, asserting both ends.

use std::collections::BTreeSet;

use gizad::contract::Effect;
use serde_json::{Value, json};

use super::rig::{Answer, Gateway, assert_has, contract, operation, plain, unique};

const PERSONALITIES: [&str; 5] = ["whmcs", "boolean", "status", "virtualizor", "bare"];

/// One call: how it is made over REST and over gRPC, what the provider must see, what the caller must get.
pub struct Row {
    pub operation: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    /// The REST body.
    pub body: Option<Value>,
    /// The gRPC request.
    pub request: Value,
    /// What the provider sees beside action and credentials, as text; for the catalog its whole target.
    pub sent: &'static str,
    pub status: u16,
    /// What the response must have.
    pub has: Value,
}

impl Row {
    pub fn effect(&self) -> Effect {
        operation(self.operation).effect
    }

    /// Makes the call over REST; what spends under a key that is new.
    pub async fn rest(&self, gateway: &Gateway) -> Answer {
        self.rest_with(gateway, &[]).await
    }

    /// The same with further headers.
    pub async fn rest_with(&self, gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
        let (key, mut headers) = (unique(), headers.to_vec());
        if self.effect() == Effect::Spend {
            headers.push(("idempotency-key", &key));
        }
        let body = self.body.as_ref().map(|body| ("application/json", body.to_string().into_bytes()));
        gateway.send(self.method, self.path, body, &headers).await
    }

    /// Makes it over gRPC, likewise.
    pub async fn grpc(&self, gateway: &Gateway) -> Result<Value, tonic::Status> {
        let mut request = self.request.clone();
        if self.effect() == Effect::Spend {
            request["request_id"] = json!(unique());
        }
        gateway.grpc(operation(self.operation), &request).await
    }

    /// The action it is sent as.
    pub fn action(&self) -> String {
        let upstream = &operation(self.operation).upstream;
        match self.path {
            "/vps?view=full" => upstream.variants[0].action.clone(),
            "/actions/vps_rdns" => "vps_rdns".to_owned(),
            _ => upstream.name.clone(),
        }
    }
}

fn row(
    operation: &'static str,
    (method, path): (&'static str, &'static str),
    request: Value,
    sent: &'static str,
    has: Value,
) -> Row {
    // The REST body is the request without what the path or the query says.
    let mut body = request.clone();
    let members = body.as_object_mut().expect("a request is an object");
    for part in path.split(['/', '?', '=', '&']) {
        members.retain(|_, json| json.to_string().trim_matches('"').to_lowercase() != part.to_lowercase());
    }
    let body = (!members.is_empty()).then_some(body);
    let creates = operation.split('.').nth(1).is_some_and(|method| method.starts_with("Create"));
    // What a purchase brought stands in the record of it.
    let has = match contract().operation(operation).map(|operation| operation.effect) {
        Some(Effect::Spend) => {
            json!({"operation_id": "<any>", "method": operation, "state": "SUCCEEDED", "done": true,
                                      "attempts": 1, "held_vnd": 0, "posted_vnd": has["amount_vnd"], "purchase": has})
        }
        _ => has,
    };
    Row { operation, method, path, body, request, sent, status: if creates { 201 } else { 200 }, has }
}

/// The calls, in an order that makes sense on a new account: VPS 1 and 2, hosting 3, email 4, invoice 5.
pub fn rows() -> Vec<Row> {
    let bought = |order: i64, invoice: i64, ids: &[i64], amount: i64| {
        json!({"order_id": order.to_string(), "invoice_id": invoice.to_string(), "service_ids": ids,
               "amount_vnd": amount, "balance_after_vnd": "<any>"})
    };
    let prices = |monthly: i64| {
        let price = |cycle: &str, months: i64, price: i64| json!({"billing_cycle": cycle, "months": months, "price_vnd": price});
        json!({"prices": [price("monthly", 1, monthly), price("quarterly", 3, monthly * 3),
                          price("semiannually", 6, monthly * 6), price("annually", 12, monthly * 10)]})
    };
    let web = json!({"vps_id": 1, "hostname": "web-01", "state": "ACTIVE", "power": "ON", "ip_addresses": ["203.0.113.2"],
                     "os": "ubuntu-22.04", "plan_id": 26, "billing_cycle": "monthly", "price_vnd": 149_000,
                     "create_time": "<any>", "expire_time": "<any>"});
    let db = json!({"vps_id": 2, "hostname": "db-01", "os": "debian-12", "price_vnd": 279_000});
    let mut web_with_node = web.clone();
    web_with_node["node"] = json!("hcm-node-03");
    let deposit = json!({"order_id": "GZ6", "amount_vnd": 500_000, "state": "PENDING", "bank": "MBBank",
                         "account_number": "0900123456789", "account_holder": "CONG TY GIZADATA",
                         "transfer_note": "NAP GZ6", "vietqr": "00020101021238570010A00000072701270006970422011309001234567890208QRIBFTTA530370454065000005802VN62110807NAP GZ663049452",
                         "create_time": "<any>", "pay_time": null});
    let login = |id: i64| json!({"url": "<any>", "username": format!("u{id}"), "password": "<any>", "server": "<any>"});
    vec![
        row(
            "WalletService.GetWallet",
            ("GET", "/wallet"),
            json!({}),
            "",
            json!({"balance_vnd": 5_000_000, "currency": "VND"}),
        ),
        row(
            "WalletService.ListTransactions",
            ("GET", "/wallet/transactions"),
            json!({}),
            "",
            json!({"transactions": []}),
        ),
        row(
            "WalletService.CreateDeposit",
            ("POST", "/wallet/deposits"),
            json!({"amount_vnd": 500_000}),
            r#","amount":500000"#,
            deposit.clone(),
        ),
        row(
            "WalletService.GetDeposit",
            ("GET", "/wallet/deposits/GZ6"),
            json!({"order_id": "GZ6"}),
            r#","order_id":"GZ6""#,
            deposit.clone(),
        ),
        row(
            "WalletService.CheckDeposit",
            ("POST", "/wallet/deposits/GZ6/check"),
            json!({"order_id": "GZ6"}),
            r#","order_id":"GZ6""#,
            deposit,
        ),
        row(
            "CatalogService.ListVpsPlans",
            ("GET", "/catalog/vps-plans"),
            json!({}),
            "/api?action=list_plans",
            json!({"plans": [
            {"plan_id": 25, "name": "VPS SSD 1", "price_vnd": 89_000, "cpu": "1 vCPU", "memory": "1 GB", "disk": "20 GB SSD",
             "prices_vnd": {"monthly": 89_000, "quarterly": 267_000, "semiannually": 534_000, "annually": 890_000},
             "operating_systems": ["ubuntu-22.04", "ubuntu-24.04", "debian-12", "almalinux-9", "windows-2022"]},
            {"plan_id": 26}, {"plan_id": 27}, {"plan_id": 28}, {"plan_id": 29, "price_vnd": 1_190_000}]}),
        ),
        row(
            "CatalogService.ListHostingPlans",
            ("GET", "/catalog/hosting-plans"),
            json!({}),
            "/api?action=hosting_list_plans",
            json!({"plans": [
            {"plan_id": 11, "name": "Hosting Cá nhân", "price_vnd": 29_000, "site_count": 1}, {"plan_id": 12}, {"plan_id": 13}]}),
        ),
        row(
            "CatalogService.ListEmailPlans",
            ("GET", "/catalog/email-plans"),
            json!({}),
            "/api?action=email_list_plans",
            json!({"plans": [
            {"plan_id": 41, "mailbox_count": 5, "disk": "10 GB"}, {"plan_id": 42}]}),
        ),
        row(
            "CatalogService.ListKeyProducts",
            ("GET", "/catalog/key-products"),
            json!({}),
            "/api?action=key_list_products",
            json!({"products": [
            {"product_id": "proxy-vn-4g", "price_vnd": 65_000, "stock": 120}, {"product_id": "proxy-vn-dc"}, {"product_id": "proxy-us-dc", "stock": 0}]}),
        ),
        row("VpsService.ListVps", ("GET", "/vps"), json!({}), "", json!({"vps": [web, db]})),
        row(
            "VpsService.ListVps",
            ("GET", "/vps?view=full"),
            json!({"view": "FULL"}),
            "",
            json!({"vps": [web_with_node, {"node": "hcm-node-03"}]}),
        ),
        row("VpsService.GetVps", ("GET", "/vps/2"), json!({"vps_id": 2}), "", db),
        row(
            "VpsService.CreateVps",
            ("POST", "/vps"),
            json!({"plan_id": 26, "hostname": "api-vps-01", "password": "StrongPass@123", "os": "ubuntu-22.04", "billing_cycle": "monthly"}),
            r#","planid":26,"hostname":"api-vps-01","password":"StrongPass@123","os":"ubuntu-22.04","billingcycle":"monthly""#,
            bought(10, 8, &[9], 149_000),
        ),
        row(
            "VpsService.UpdateVps",
            ("PATCH", "/vps/1"),
            json!({"vps_id": 1, "hostname": "web-02"}),
            r#","vpsid":1,"hostname":"web-02""#,
            json!({"pending": false}),
        ),
        row(
            "VpsService.StopVps",
            ("POST", "/vps/1/stop"),
            json!({"vps_id": 1}),
            r#","vpsid":1,"vps_action":"stop""#,
            json!({"pending": false}),
        ),
        row(
            "VpsService.GetVpsStatus",
            ("GET", "/vps/1/status"),
            json!({"vps_id": 1}),
            r#","vpsid":1"#,
            json!({"vps_id": 1, "power": "OFF"}),
        ),
        row(
            "VpsService.StartVps",
            ("POST", "/vps/1/start"),
            json!({"vps_id": 1}),
            r#","vpsid":1,"vps_action":"start""#,
            json!({"pending": false}),
        ),
        row(
            "VpsService.RebootVps",
            ("POST", "/vps/1/reboot"),
            json!({"vps_id": 1}),
            r#","vpsid":1,"vps_action":"reboot""#,
            json!({"pending": false}),
        ),
        row(
            "VpsService.OpenVpsConsole",
            ("POST", "/vps/1/vnc"),
            json!({"vps_id": 1}),
            r#","vpsid":1"#,
            json!({"host": "203.0.113.250", "port": 5901, "password": "<any>", "url": "<any>"}),
        ),
        row(
            "VpsService.ChangeVpsPassword",
            ("POST", "/vps/1/password"),
            json!({"vps_id": 1, "password": "N3w@pass"}),
            r#","vpsid":1,"password":"N3w@pass""#,
            json!({"pending": "<any>"}),
        ),
        row(
            "VpsService.ListRenewalPrices",
            ("GET", "/vps/1/renewal-prices"),
            json!({"vps_id": 1}),
            r#","serviceid":1,"type":"vps""#,
            prices(149_000),
        ),
        row(
            "VpsService.RenewVps",
            ("POST", "/vps/1/renew"),
            json!({"vps_id": 1}),
            r#","serviceid":1,"type":"vps""#,
            bought(13, 12, &[1], 149_000),
        ),
        row(
            "VpsService.ReinstallVps",
            ("POST", "/vps/2/reinstall"),
            json!({"vps_id": 2, "os": "ubuntu-24.04", "password": "An0ther@1", "confirm_hostname": "DB-01"}),
            r#","vpsid":2,"os":"ubuntu-24.04","password":"An0ther@1""#,
            json!({"pending": false}),
        ),
        row(
            "HostingService.ListHosting",
            ("GET", "/hosting"),
            json!({}),
            "",
            json!({"hosting": [{"service_id": 3, "domain": "vidu.vn", "state": "ACTIVE", "plan_id": 12, "price_vnd": 79_000, "expire_time": "<any>"}]}),
        ),
        row(
            "HostingService.GetHosting",
            ("GET", "/hosting/3"),
            json!({"service_id": 3}),
            "",
            json!({"service_id": 3, "domain": "vidu.vn"}),
        ),
        row(
            "HostingService.CreateHosting",
            ("POST", "/hosting"),
            json!({"plan_id": 11, "domain": "shop.vn", "billing_cycle": "annually"}),
            r#","planid":11,"domain":"shop.vn","billingcycle":"annually""#,
            bought(17, 15, &[16], 290_000),
        ),
        row(
            "HostingService.GetHostingLogin",
            ("GET", "/hosting/3/login"),
            json!({"service_id": 3}),
            r#","serviceid":3"#,
            login(3),
        ),
        row(
            "HostingService.ListRenewalPrices",
            ("GET", "/hosting/3/renewal-prices"),
            json!({"service_id": 3}),
            r#","serviceid":3,"type":"hosting""#,
            prices(79_000),
        ),
        row(
            "HostingService.RenewHosting",
            ("POST", "/hosting/3/renew"),
            json!({"service_id": 3, "billing_cycle": "quarterly"}),
            r#","serviceid":3,"billingcycle":"quarterly","type":"hosting""#,
            bought(20, 19, &[3], 237_000),
        ),
        row(
            "EmailService.ListEmail",
            ("GET", "/email"),
            json!({}),
            "",
            json!({"email": [{"service_id": 4, "domain": "vidu.vn", "plan_id": 41}]}),
        ),
        row(
            "EmailService.GetEmail",
            ("GET", "/email/4"),
            json!({"service_id": 4}),
            "",
            json!({"service_id": 4, "state": "ACTIVE"}),
        ),
        row(
            "EmailService.CreateEmail",
            ("POST", "/email"),
            json!({"plan_id": 41, "domain": "shop.vn", "billing_cycle": "monthly"}),
            r#","planid":41,"domain":"shop.vn","billingcycle":"monthly""#,
            bought(24, 22, &[23], 49_000),
        ),
        row(
            "EmailService.GetEmailLogin",
            ("GET", "/email/4/login"),
            json!({"service_id": 4}),
            r#","serviceid":4"#,
            login(4),
        ),
        row(
            "EmailService.ListRenewalPrices",
            ("GET", "/email/4/renewal-prices"),
            json!({"service_id": 4}),
            r#","serviceid":4,"type":"email""#,
            prices(49_000),
        ),
        row(
            "EmailService.RenewEmail",
            ("POST", "/email/4/renew"),
            json!({"service_id": 4}),
            r#","serviceid":4,"type":"email""#,
            bought(27, 26, &[4], 49_000),
        ),
        row(
            "KeyService.BuyKey",
            ("POST", "/keys"),
            json!({"product_id": "proxy-vn-dc", "quantity": 2}),
            r#","product_id":"proxy-vn-dc","quantity":2"#,
            json!({"order_id": "32", "invoice_id": "29", "key_id": "K31", "amount_vnd": 50_000, "items": ["<any>", "<any>"], "expire_time": "<any>"}),
        ),
        row(
            "KeyService.RenewKey",
            ("POST", "/keys/K31/renew"),
            json!({"key_id": "K31"}),
            r#","key_id":"K31""#,
            json!({"order_id": "35", "invoice_id": "34", "key_id": "K31", "amount_vnd": 25_000}),
        ),
        row(
            "LicenseService.BuyLicense",
            ("POST", "/licenses"),
            json!({"product_id": "directadmin"}),
            r#","product_id":"directadmin""#,
            json!({"order_id": "39", "amount_vnd": 190_000, "items": ["<any>"]}),
        ),
        row(
            "AccountOrderService.CreateAccountOrder",
            ("POST", "/account-orders"),
            json!({"product_id": "mail-aged"}),
            r#","product_id":"mail-aged""#,
            json!({"order_id": "43", "amount_vnd": 12_000, "items": ["<any>"]}),
        ),
        row("InvoiceService.ListInvoices", ("GET", "/invoices"), json!({}), "", Value::Null),
        row(
            "InvoiceService.PayInvoice",
            ("POST", "/invoices/5/pay"),
            json!({"invoice_id": "5"}),
            r#","invoice_id":"5""#,
            json!({"invoice_id": "5", "amount_vnd": 149_000, "balance_after_vnd": "<any>"}),
        ),
        row(
            "ProfileService.GetProfile",
            ("GET", "/profile"),
            json!({}),
            "",
            json!({"user_id": "777", "full_name": "Nguyễn Văn An", "email": "an.nguyen@example.vn",
            "phone": "0901234567", "company": "Công ty TNHH Ví Dụ", "address": "12 Lê Lợi, Quận 1, TP. Hồ Chí Minh"}),
        ),
        row(
            "ProfileService.UpdateProfile",
            ("PATCH", "/profile"),
            json!({"phone": "0907654321"}),
            r#","phone":"0907654321""#,
            json!({"pending": false}),
        ),
        row(
            "TicketService.CreateTicket",
            ("POST", "/tickets"),
            json!({"subject": "VPS không ping được", "message": "Mô tả chi tiết lỗi..."}),
            r#","subject":"VPS không ping được","message":"Mô tả chi tiết lỗi...","attachment_urls":[]"#,
            json!({"ticket_id": 47, "subject": "VPS không ping được", "state": "OPEN"}),
        ),
        row(
            "TicketService.ListTickets",
            ("GET", "/tickets"),
            json!({}),
            r#","page":1,"limit":20,"status":"""#,
            json!({"tickets": [{"ticket_id": 47, "state": "OPEN", "create_time": "<any>"}]}),
        ),
        row(
            "TicketService.ReplyTicket",
            ("POST", "/tickets/47/replies"),
            json!({"ticket_id": 47, "message": "Nội dung trả lời...", "attachment_urls": ["https://example.vn/a.png"]}),
            r#","ticket_id":47,"message":"Nội dung trả lời...","attachment_urls":["https://example.vn/a.png"]"#,
            json!({"pending": false}),
        ),
        row(
            "TicketService.GetTicket",
            ("GET", "/tickets/47"),
            json!({"ticket_id": 47}),
            r#","ticket_id":47"#,
            json!({"ticket_id": 47, "message": "Mô tả chi tiết lỗi...",
            "replies": [{"reply_id": "48", "author": "Khách hàng", "message": "Nội dung trả lời...", "attachment_urls": ["https://example.vn/a.png"], "create_time": "<any>"}]}),
        ),
        Row {
            body: Some(json!({"vpsid": 1, "rdns": "web.example.vn"})),
            ..row(
                "ActionService.CallAction",
                ("POST", "/actions/vps_rdns"),
                json!({"action": "vps_rdns", "parameters": {"vpsid": 1, "rdns": "web.example.vn"}}),
                r#","#,
                json!({"answer": "<any>"}),
            )
        },
    ]
}

fn assert_sent(row: &Row, seen: &[String], what: &str) {
    let all = seen;
    let seen: Vec<&String> = if row.effect() == Effect::Spend || row.operation.ends_with("ReinstallVps") {
        // Before a purchase the account is looked at, and before a disk is wiped the server's name.
        let named = format!(r#""action":"{}""#, row.action());
        let (own, others): (Vec<_>, Vec<_>) = all.iter().partition(|seen| seen.contains(&named));
        assert!(!others.is_empty() && others.iter().all(|seen| is_harmless(seen)), "{what}: {all:?}");
        own
    } else {
        all.iter().collect()
    };
    let [seen] = seen[..] else { panic!("{what}: one request was expected, not {all:?}") };
    if row.sent.starts_with('/') {
        assert_eq!(seen, row.sent, "{what}");
        return;
    }
    let head = format!(r#"{{"action":"{}","identifier":"sandbox","secret":"sandbox-secret""#, row.action());
    if row.operation == "ActionService.CallAction" {
        // The members of a `Struct` have no order.
        let body: Value = serde_json::from_str(seen).expect("JSON");
        assert!(
            seen.starts_with(&head) && body["vpsid"] == json!(1) && body["rdns"] == "web.example.vn",
            "{what}: {seen}"
        );
        return;
    }
    assert_eq!(*seen, format!("{head}{}}}", row.sent), "{what}");
}

/// Whether it asks for something that changes nothing.
fn is_harmless(seen: &str) -> bool {
    let read = |operation: &&gizad::contract::Operation| operation.effect.is_read() && !operation.local;
    let asks = |name: &str| {
        !name.is_empty()
            && (seen.contains(&format!(r#""action":"{name}""#))
                || seen.starts_with(&format!("/api?action={name}")))
    };
    contract().operations().iter().filter(read).any(|operation| asks(&operation.upstream.name))
}

/// What gizad answers from its own record, about an operation that there is not.
pub fn local_rows() -> Vec<Row> {
    let unknown = json!({"operation_id": "op_none"});
    let stated = json!({"operation_id": "op_none", "outcome": "FOUND", "note": "n"});
    let missing = |operation, method, path, request| Row {
        status: 404,
        ..row(operation, (method, path), request, "", Value::Null)
    };
    vec![
        row(
            "OperationService.ListOperations",
            ("GET", "/operations"),
            json!({}),
            "",
            json!({"operations": []}),
        ),
        missing("OperationService.GetOperation", "GET", "/operations/op_none", unknown.clone()),
        missing(
            "OperationService.ReconcileOperation",
            "POST",
            "/operations/op_none/reconcile",
            unknown.clone(),
        ),
        missing("OperationService.ApproveOperation", "POST", "/operations/op_none/approve", unknown),
        missing("OperationService.ResolveOperation", "POST", "/operations/op_none/resolve", stated),
    ]
}

/// What is answered from other operations, of which it asks several.
pub fn gathered_rows() -> Vec<Row> {
    vec![row(
        "ServiceService.ListExpiringServices",
        ("GET", "/services/expiring"),
        json!({}),
        "",
        json!({"unknown_prices": 0, "balance_vnd": "<any>", "covered": true, "incomplete": []}),
    )]
}

#[tokio::test]
async fn what_is_gizads_own_is_answered_without_the_provider() {
    let gateway = Gateway::sandbox();
    for row in local_rows() {
        let answer = row.rest(&gateway).await;
        assert_eq!(answer.status, row.status, "{}: {}", row.operation, answer.text);
        let reply = row.grpc(&gateway).await;
        if row.status == 404 {
            assert_eq!(answer.reason(), "OPERATION_NOT_FOUND", "{}", row.operation);
            assert_eq!(reply.expect_err("missing").code(), tonic::Code::NotFound, "{}", row.operation);
        } else {
            assert_has(&answer.json(), &row.has, row.operation);
            assert_has(&reply.expect("a reply"), &row.has, row.operation);
        }
    }
    assert_eq!(gateway.seen().await.len(), 0);
}

#[test]
fn every_operation_has_a_row() {
    let (rows, local, gathered) = (rows(), local_rows(), gathered_rows());
    let listed: BTreeSet<&str> =
        rows.iter().chain(&local).chain(&gathered).map(|row| row.operation).collect();
    let declared: BTreeSet<&str> =
        contract().operations().iter().map(|operation| operation.name.as_str()).collect();
    assert_eq!(listed, declared);
}

#[tokio::test]
async fn every_operation_works_in_every_personality_over_rest_and_grpc() {
    let gateway = Gateway::start(&["--sandbox", "--config", "tests/it/actions.toml"], &[]);
    for personality in PERSONALITIES {
        gateway.control("POST", "/reset", json!({})).await;
        gateway.control("PUT", "/personality", json!({"personality": personality})).await;
        for row in rows() {
            let what = format!("{} over REST, {personality}", row.operation);
            gateway.forget().await;
            let answer = row.rest(&gateway).await;
            assert_eq!(answer.status, row.status, "{what}: {}", answer.text);
            if !row.has.is_null() {
                assert_has(&answer.json(), &row.has, &what);
            }
            assert_sent(&row, &gateway.seen().await, &what);
        }
        gateway.control("POST", "/reset", json!({})).await;
        gateway.control("PUT", "/personality", json!({"personality": personality})).await;
        for row in rows() {
            let what = format!("{} over gRPC, {personality}", row.operation);
            gateway.forget().await;
            let reply = row.grpc(&gateway).await;
            let reply = reply.unwrap_or_else(|status| panic!("{what}: {status}"));
            if !row.has.is_null() {
                assert_has(&plain(&reply), &plain(&row.has), &what);
            }
            assert_sent(&row, &gateway.seen().await, &what);
        }
    }
}

#[tokio::test]
async fn both_faces_say_the_same_and_so_does_the_versioned_path() {
    let gateway = Gateway::sandbox();
    for row in rows().iter().filter(|row| operation(row.operation).effect.is_read()) {
        if row.path.contains("GZ6")
            || row.path.contains("47")
            || row.path.contains("login")
            || row.path.contains("vnc")
        {
            continue; // not there on a new account, or different each time
        }
        let rest = gateway.rest(row.method, row.path, row.body.as_ref()).await;
        let versioned = gateway.rest(row.method, &format!("/v1{}", row.path), row.body.as_ref()).await;
        let grpc = gateway.grpc(operation(row.operation), &row.request).await.expect("a reply");
        assert_eq!(rest.text, versioned.text, "{}", row.path);
        assert_eq!(plain(&rest.json()), plain(&grpc), "{}", row.path);
    }
}

#[tokio::test]
async fn a_pending_change_says_so() {
    let gateway = Gateway::sandbox_with(&[("GIZAD_SANDBOX_PERSONALITY", "virtualizor")]);
    let answer = gateway.post("/vps/1/password", json!({"password": "N3w@pass"})).await;
    assert_eq!(answer.json()["pending"], true, "{}", answer.text);
}

#[tokio::test]
async fn what_the_contract_does_not_model_goes_both_ways_in_extra() {
    let gateway = Gateway::sandbox();
    let extra = json!({"hostname": "x", "extra": {"note": "abc", "list": [1, 2.5, null], "big": 9_007_199_254_740_993_i64}});
    gateway.rest("PATCH", "/vps/1", Some(&extra)).await;
    let sent: Value = serde_json::from_str(&gateway.seen().await[0]).expect("JSON");
    assert_eq!(
        (&sent["note"], &sent["list"], &sent["big"]),
        (&json!("abc"), &json!([1, 2.5, null]), &json!("9007199254740993"))
    );
    gateway.forget().await;
    let answer = gateway.get("/wallet/transactions?extra.page=2").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(gateway.seen().await[0].ends_with(r#","page":"2"}"#));
    // What gizad sets, nobody else does.
    for taken in ["action", "identifier", "Secret", "frontend_source", "vpsid", "hostname"] {
        let answer =
            gateway.rest("PATCH", "/vps/1", Some(&json!({"hostname": "x", "extra": {taken: "1"}}))).await;
        assert_eq!((answer.status, answer.reason()), (400, "INVALID_ARGUMENT".to_owned()), "{taken}");
        assert!(answer.text.contains(&format!("extra.{taken}")), "{}", answer.text);
    }
    // Back: a field nobody knows.
    gateway.order(json!({"kind": "answer", "body": r#"{"success":true,"data":{"balance":"1.000","tier":"gold","id64":9007199254740993}}"#})).await;
    let wallet = gateway.get("/wallet").await.json();
    assert_eq!(
        (&wallet["balance_vnd"], &wallet["extra"]),
        (&json!(1000), &json!({"tier": "gold", "id64": "9007199254740993"}))
    );
}

#[tokio::test]
async fn actions_without_an_operation_are_called_only_when_listed() {
    let gateway = Gateway::start(&["--sandbox", "--config", "tests/it/actions.toml"], &[]);
    let refused = gateway.post("/actions/unlisted", json!({})).await;
    assert_eq!((refused.status, refused.reason().as_str()), (403, "ACTION_NOT_ALLOWED"));
    let own = gateway.post("/actions/create_vps", json!({})).await;
    assert_eq!(
        own.reason(),
        "ACTION_NOT_ALLOWED",
        "an action with an operation of its own is not reached around it"
    );
    assert_eq!(gateway.seen().await.len(), 0);
    let setting = gateway.post("/actions/vps_rdns", json!({"action": "create_vps", "vpsid": 1})).await;
    assert_eq!(setting.reason(), "INVALID_ARGUMENT", "{}", setting.text);
    // One that is stated to spend is treated like it.
    let unnamed = gateway.post("/actions/secret_sale", json!({})).await;
    assert_eq!(unnamed.reason(), "IDEMPOTENCY_KEY_REQUIRED", "{}", unnamed.text);
    gateway.order(json!({"kind": "close_after", "action": "secret_sale"})).await;
    let spent = gateway.buy("k", "/actions/secret_sale", &json!({})).await;
    assert_eq!(spent.reason(), "OUTCOME_UNKNOWN", "{}", spent.text);
}

/// What is written comes back as it was: through encode, the provider, judge and decode.
#[test]
fn texts_survive_the_way_there_and_back() {
    use proptest::prelude::*;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let gateway = runtime.block_on(async { Gateway::sandbox() });
    let texts = ("[^\\x00-\\x1f]{1,60}", "\\PC{1,80}", 1_i64..i64::from(i32::MAX));
    let config =
        proptest::test_runner::Config { cases: 150, failure_persistence: None, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let personality = std::cell::Cell::new(0);
    runner
        .run(&texts, |(subject, message, amount)| {
            runtime.block_on(async {
                let next = personality.replace(personality.get() + 1) % PERSONALITIES.len();
                gateway.control("PUT", "/personality", json!({"personality": PERSONALITIES[next]})).await;
                let opened = gateway.post("/tickets", json!({"subject": subject, "message": message})).await;
                prop_assert_eq!(opened.status, 201, "{}", opened.text);
                let ticket = gateway.get(&format!("/tickets/{}", opened.json()["ticket_id"])).await.json();
                prop_assert_eq!(
                    ticket["subject"].as_str(),
                    Some(subject.as_str()),
                    "{}",
                    PERSONALITIES[next]
                );
                prop_assert_eq!(
                    ticket["message"].as_str(),
                    Some(message.as_str()),
                    "{}",
                    PERSONALITIES[next]
                );
                let amount = amount + 10_000;
                let deposit = gateway.post("/wallet/deposits", json!({"amount_vnd": amount})).await.json();
                prop_assert_eq!(&deposit["amount_vnd"], &json!(amount), "{}", PERSONALITIES[next]);
                Ok(())
            })
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
