//! The 38 actions of the guide, and one it does not have, carried out on the account.

use super::account::{Account, DAY, Deposit, Key, Reply, Service, ServiceKind, Ticket};
use super::catalog::{self, Plan, Product};
use super::params::Params;
use super::payload::{Cell, Kind, Many, Payload, Refusal, Row, text};
use crate::ambient;

/// The actions that anybody may ask for.
pub(super) const PUBLIC: [&str; 4] =
    ["list_plans", "hosting_list_plans", "email_list_plans", "key_list_products"];

type Answer = Result<Payload, Refusal>;

/// Carries an action out.
pub(super) fn perform(account: &mut Account, action: &str, params: &Params<'_>) -> Answer {
    account.settle();
    match action {
        "balance" => {
            let row = vec![("balance", Cell::Money(account.balance)), ("currency", text("VND"))];
            Ok(Payload::One("wallet", row))
        }
        "deposit_sepay" => open_deposit(account, params),
        "get_sepay_order" => {
            find_deposit(account, params).map(|deposit| Payload::One("order", deposit_row(&deposit)))
        }
        "check_sepay_payment" => {
            let deposit = find_deposit(account, params)?;
            let row = deposit_row(&deposit);
            Ok(if deposit.paid { Payload::One("order", row) } else { Payload::NotYet("order", row) })
        }
        "transactions" => Ok(transactions(account)),
        "list_plans" => Ok(plans(&catalog::VPS, "")),
        "hosting_list_plans" => Ok(plans(&catalog::HOSTING, "websites")),
        "email_list_plans" => Ok(plans(&catalog::EMAIL, "mailboxes")),
        "key_list_products" => Ok(products()),
        "create_vps" => create_vps(account, params),
        "create_hosting" => create_plain(account, params, action, ServiceKind::Hosting, &catalog::HOSTING),
        "create_email" => create_plain(account, params, action, ServiceKind::Email, &catalog::EMAIL),
        "key_buy" => sell(account, params, action, &catalog::KEYS),
        "license_buy" => sell(account, params, action, &catalog::LICENSES),
        "bantaikhoan_create_order" => sell(account, params, action, &catalog::ACCOUNTS),
        "list_vps" => Ok(services(account, ServiceKind::Vps, false)),
        "list_vps_with_node" => Ok(services(account, ServiceKind::Vps, true)),
        "list_hosting" => Ok(services(account, ServiceKind::Hosting, false)),
        "list_email" => Ok(services(account, ServiceKind::Email, false)),
        "vps_action" => power(account, params),
        "vps_status" => {
            let now = account.now();
            let vps = account.find(ServiceKind::Vps, params.integer("vpsid")?)?;
            Ok(Payload::Power(vps.id, vps.is_on(now)))
        }
        "vps_vnc" => console(account, params),
        "vps_change_rootpass" => {
            let password = params.text("password")?;
            installed(account, params)?.password = password;
            Ok(Payload::NextBoot("Mật khẩu sẽ được áp dụng sau khi khởi động lại"))
        }
        "change_vps_hostname" => {
            let hostname = params.text("hostname")?;
            installed(account, params)?.name = hostname;
            Ok(Payload::Done("Đã đổi hostname"))
        }
        "vps_reinstall_os" => reinstall(account, params),
        "get_hosting_login_info" => login(account, params, ServiceKind::Hosting),
        "get_email_login_info" => login(account, params, ServiceKind::Email),
        "renew_service_price_matrix" => price_matrix(account, params),
        "renew_service" => renew(account, params, action),
        "key_renewal" => renew_key(account, params, action),
        "hoadon" => Ok(invoices(account)),
        "pay_invoice" => pay_invoice(account, params, action),
        "user_profile" => Ok(profile(account)),
        "update_user_profile" => Ok(update_profile(account, params)),
        "ticket_list" => tickets(account, params),
        "ticket_get" => {
            let id = params.integer("ticket_id")?;
            find_ticket(account, id).map(|ticket| Payload::One("ticket", ticket_row(ticket, true)))
        }
        "ticket_create" => open_ticket(account, params),
        "ticket_reply" => reply(account, params),
        // One that the guide does not have, as the real provider has others.
        "vps_rdns" => {
            params.text("rdns")?;
            installed(account, params)?;
            Ok(Payload::Done("Đã cập nhật rDNS"))
        }
        other => Err(Refusal::new(Kind::Invalid, format!("Action {other} không hợp lệ"))),
    }
}

fn open_deposit(account: &mut Account, params: &Params<'_>) -> Answer {
    let amount = params.integer("amount")?;
    if amount < 10_000 {
        return Err(Refusal::new(Kind::Invalid, "Số tiền nạp phải từ 10.000đ, amount không hợp lệ"));
    }
    let (id, now, arrives_at) = (account.id(), account.now(), account.deposit_until());
    let deposit = Deposit { code: format!("GZ{id}"), amount, created_at: now, arrives_at, paid: false };
    let row = deposit_row(&deposit);
    account.deposits.push(deposit);
    Ok(Payload::One("order", row))
}

fn find_deposit(account: &Account, params: &Params<'_>) -> Result<Deposit, Refusal> {
    let code = params.text("order_id")?;
    let found = account.deposits.iter().find(|deposit| deposit.code == code);
    found.cloned().ok_or_else(|| Refusal::new(Kind::Missing, "Order not found"))
}

fn deposit_row(deposit: &Deposit) -> Row {
    vec![
        ("order_id", text(&deposit.code)),
        ("amount", Cell::Money(deposit.amount)),
        ("status", text(if deposit.paid { "paid" } else { "pending" })),
        ("bank_name", text("MBBank")),
        ("account_number", text("0900123456789")),
        ("account_name", text("CONG TY GIZADATA")),
        ("content", text(format!("NAP {}", deposit.code))),
        ("created_at", Cell::Date(Some(deposit.created_at))),
        ("paid_at", Cell::Date(deposit.paid.then_some(deposit.arrives_at))),
    ]
}

fn transactions(account: &Account) -> Payload {
    let rows = account.transactions.iter().rev().map(|moved| {
        vec![
            ("id", Cell::Id(moved.id)),
            ("amount", Cell::Money(moved.amount)),
            ("type", text(moved.kind)),
            ("description", text(&moved.description)),
            ("balance_after", Cell::Money(moved.balance_after)),
            ("created_at", Cell::Date(Some(moved.at))),
        ]
    });
    many("transactions", "transaction", "id", rows.collect())
}

fn many(plural: &'static str, singular: &'static str, key: &'static str, rows: Vec<Row>) -> Payload {
    let total = rows.len();
    Payload::Many(Many { plural, singular, key, rows, total })
}

fn plans(plans: &[Plan], counted: &'static str) -> Payload {
    let rows = plans.iter().map(|plan| {
        let prices =
            catalog::CYCLES.iter().map(|(name, months)| (*name, catalog::price(plan.price, *months)));
        let mut row = vec![
            ("planid", Cell::Id(plan.id)),
            ("name", text(plan.name)),
            ("price", Cell::Money(plan.price)),
            ("pricing", Cell::Amounts(prices.collect())),
            ("disk", text(plan.disk)),
        ];
        if counted.is_empty() {
            let systems = catalog::SYSTEMS.map(str::to_owned).to_vec();
            row.extend([("cpu", text(plan.cpu)), ("ram", text(plan.memory)), ("os", Cell::Texts(systems))]);
        } else {
            row.push((counted, Cell::Id(plan.count)));
        }
        row
    });
    many("plans", "plan", "planid", rows.collect())
}

fn products() -> Payload {
    let rows = catalog::KEYS.iter().map(|product| {
        vec![
            ("product_id", text(product.id)),
            ("name", text(product.name)),
            ("price", Cell::Money(product.price)),
            ("stock", Cell::Id(product.stock)),
        ]
    });
    many("products", "product", "product_id", rows.collect())
}

/// The plan, cycle and price a purchase asks for.
fn quoted<'a>(params: &Params<'_>, plans: &'a [Plan]) -> Result<(&'a Plan, String, i64), Refusal> {
    let id = params.integer("planid")?;
    let plan = plans.iter().find(|plan| plan.id == id);
    let plan = plan.ok_or_else(|| Refusal::new(Kind::Missing, format!("Gói {id} không tồn tại")))?;
    let cycle = params.text("billingcycle")?;
    let months = catalog::CYCLES.iter().find(|(name, _)| *name == cycle).map(|(_, months)| *months);
    let months =
        months.ok_or_else(|| Refusal::new(Kind::Invalid, format!("billingcycle {cycle} không hợp lệ")))?;
    Ok((plan, cycle, catalog::price(plan.price, months)))
}

fn create_vps(account: &mut Account, params: &Params<'_>) -> Answer {
    let (plan, cycle, price) = quoted(params, &catalog::VPS)?;
    let (hostname, password, os) = (params.text("hostname")?, params.text("password")?, params.text("os")?);
    if !catalog::SYSTEMS.contains(&os.as_str()) {
        return Err(Refusal::new(Kind::Invalid, format!("Hệ điều hành {os} không hợp lệ")));
    }
    let invoice = account.charge("create_vps", price, &format!("Mua {} ({hostname})", plan.name))?;
    let service = account.service(ServiceKind::Vps, &hostname, plan.id, &cycle, price);
    (service.os, service.password) = (os, password);
    let id = service.id;
    Ok(bought(account, invoice, vec![("vpsid", Cell::Ids(vec![id]))], price))
}

fn create_plain(
    account: &mut Account,
    params: &Params<'_>,
    action: &str,
    kind: ServiceKind,
    plans: &[Plan],
) -> Answer {
    let (plan, cycle, price) = quoted(params, plans)?;
    let domain = params.text("domain")?;
    let invoice = account.charge(action, price, &format!("Mua {} ({domain})", plan.name))?;
    let id = account.service(kind, &domain, plan.id, &cycle, price).id;
    Ok(bought(account, invoice, vec![("serviceid", Cell::Ids(vec![id]))], price))
}

fn bought(account: &mut Account, invoice: i64, what: Row, price: i64) -> Payload {
    let mut row = vec![("order_id", Cell::Id(account.id())), ("invoice_id", Cell::Id(invoice))];
    row.extend(what);
    row.extend([("amount", Cell::Money(price)), ("balance_after", Cell::Money(account.balance))]);
    Payload::One("order", row)
}

fn sell(account: &mut Account, params: &Params<'_>, action: &str, products: &[Product]) -> Answer {
    let id = params.text("product_id")?;
    let product = products.iter().find(|product| product.id == id);
    let product =
        product.ok_or_else(|| Refusal::new(Kind::Missing, format!("Sản phẩm {id} không tồn tại")))?;
    let quantity = params.integer("quantity").unwrap_or(1);
    if quantity > product.stock {
        return Err(Refusal::new(Kind::Conflict, "Hết hàng"));
    }
    let price = product.price * quantity;
    let invoice = account.charge(action, price, &format!("Mua {} x{quantity}", product.name))?;
    let expires_at = account.now() + 30 * DAY;
    let mut goods = Vec::new();
    let mut key_id = String::new();
    for _ in 0..quantity {
        let number = account.id();
        key_id = format!("K{number}");
        let good = format!("203.0.113.{}:8000:user{number}:{}", number % 250 + 1, token());
        goods.push(good.clone());
        account.keys.push(Key {
            id: key_id.clone(),
            product: id.clone(),
            price: product.price,
            goods: good,
            expires_at,
        });
    }
    let what = vec![
        ("key_id", text(key_id)),
        ("keys", Cell::Texts(goods)),
        ("expires_at", Cell::Date(Some(expires_at))),
    ];
    Ok(bought(account, invoice, what, price))
}

fn services(account: &Account, kind: ServiceKind, with_node: bool) -> Payload {
    let now = account.now();
    let rows = account.services.iter().filter(|service| service.kind == kind).map(|service| {
        let mut row = service_row(service, now);
        if with_node {
            row.push(("node", text("hcm-node-03")));
        }
        row
    });
    match kind {
        ServiceKind::Vps => many("vps", "vs", "vpsid", rows.collect()),
        ServiceKind::Hosting => many("hosting", "service", "serviceid", rows.collect()),
        ServiceKind::Email => many("email", "service", "serviceid", rows.collect()),
    }
}

fn service_row(service: &Service, now: i64) -> Row {
    let state = match service {
        _ if service.ready_at > now => "installing",
        _ if service.expires_at <= now => "expired",
        _ => "active",
    };
    let (key, name) = match service.kind {
        ServiceKind::Vps => ("vpsid", "hostname"),
        ServiceKind::Hosting | ServiceKind::Email => ("serviceid", "domain"),
    };
    let mut row = vec![
        (key, Cell::Id(service.id)),
        (name, text(&service.name)),
        ("status", text(state)),
        ("ip", text(&service.ip)),
        ("planid", Cell::Id(service.plan)),
        ("billingcycle", text(&service.cycle)),
        ("price", Cell::Money(service.price)),
        ("created_at", Cell::Date(Some(service.created_at))),
        ("expires_at", Cell::Date(Some(service.expires_at))),
    ];
    if service.kind == ServiceKind::Vps {
        let on = service.is_on(now);
        row.extend([
            ("power_status", text(if on { "running" } else { "stopped" })),
            ("os", text(&service.os)),
        ]);
    }
    row
}

/// A VPS that is there and not being installed.
fn installed<'a>(account: &'a mut Account, params: &Params<'_>) -> Result<&'a mut Service, Refusal> {
    let (id, now) = (params.integer("vpsid")?, account.now());
    let vps = account.find(ServiceKind::Vps, id)?;
    if vps.ready_at > now {
        return Err(Refusal::new(Kind::Conflict, "VPS đang thực hiện cài đặt, vui lòng chờ"));
    }
    if vps.expires_at <= now {
        return Err(Refusal::new(Kind::Conflict, "Dịch vụ đã hết hạn"));
    }
    Ok(vps)
}

fn power(account: &mut Account, params: &Params<'_>) -> Answer {
    let wanted = params.text("vps_action")?;
    if !matches!(wanted.as_str(), "start" | "stop" | "reboot") {
        return Err(Refusal::new(Kind::Invalid, format!("vps_action {wanted} không hợp lệ")));
    }
    let (now, until) = (account.now(), account.power_until());
    let vps = installed(account, params)?;
    vps.switching = (until, wanted != "reboot" && vps.is_on(now));
    vps.running = wanted != "stop";
    vps.reboots += u32::from(wanted == "reboot");
    Ok(Payload::Done("Đã gửi lệnh tới máy chủ"))
}

fn console(account: &mut Account, params: &Params<'_>) -> Answer {
    let vps = installed(account, params)?;
    let row = vec![
        ("vncip", text("203.0.113.250")),
        ("vncport", Cell::Id(5900 + vps.id % 100)),
        ("vncpassword", text(token())),
        ("url", text(format!("https://vnc.example.vn/{}?token={}", vps.id, token()))),
    ];
    Ok(Payload::One("info", row))
}

fn reinstall(account: &mut Account, params: &Params<'_>) -> Answer {
    let os = params.text("os")?;
    if !catalog::SYSTEMS.contains(&os.as_str()) {
        return Err(Refusal::new(Kind::Invalid, format!("Hệ điều hành {os} không hợp lệ")));
    }
    let until = account.install_until();
    let vps = installed(account, params)?;
    vps.os = os;
    if let Some(password) = params.optional("password") {
        vps.password = password;
    }
    vps.ready_at = until;
    vps.reinstalls += 1;
    Ok(Payload::Done("Đang cài lại hệ điều hành"))
}

fn login(account: &mut Account, params: &Params<'_>, kind: ServiceKind) -> Answer {
    let service = account.find(kind, params.integer("serviceid")?)?;
    let row = vec![
        ("login_url", text(format!("https://panel.example.vn:2083/login?session={}", token()))),
        ("username", text(format!("u{}", service.id))),
        ("password", text(token())),
        ("server_ip", text(&service.ip)),
    ];
    Ok(Payload::One("login", row))
}

/// The service a renewal is about.
fn renewed<'a>(account: &'a mut Account, params: &Params<'_>) -> Result<&'a mut Service, Refusal> {
    let (id, kind) = (params.integer("serviceid")?, params.text("type")?);
    let kind = ServiceKind::named(&kind)
        .ok_or_else(|| Refusal::new(Kind::Invalid, format!("type {kind} không hợp lệ")))?;
    account.find(kind, id)
}

/// The price of a service for one month.
fn monthly(service: &Service) -> i64 {
    let plans: &[Plan] = match service.kind {
        ServiceKind::Vps => &catalog::VPS,
        ServiceKind::Hosting => &catalog::HOSTING,
        ServiceKind::Email => &catalog::EMAIL,
    };
    plans.iter().find(|plan| plan.id == service.plan).map_or(service.price, |plan| plan.price)
}

fn price_matrix(account: &mut Account, params: &Params<'_>) -> Answer {
    let price = monthly(renewed(account, params)?);
    let rows = catalog::CYCLES.iter().map(|(name, months)| {
        let price = Cell::Money(catalog::price(price, *months));
        vec![("billingcycle", text(*name)), ("months", Cell::Id(*months)), ("price", price)]
    });
    Ok(many("prices", "price", "billingcycle", rows.collect()))
}

fn renew(account: &mut Account, params: &Params<'_>, action: &str) -> Answer {
    let service = renewed(account, params)?.clone();
    let cycle = params.optional("billingcycle").unwrap_or_else(|| service.cycle.clone());
    let months = catalog::CYCLES.iter().find(|(name, _)| *name == cycle).map(|(_, months)| *months);
    let months =
        months.ok_or_else(|| Refusal::new(Kind::Invalid, format!("billingcycle {cycle} không hợp lệ")))?;
    let price = catalog::price(monthly(&service), months);
    let invoice = account.charge(action, price, &format!("Gia hạn {} ({})", service.name, service.id))?;
    let kept = account.find(service.kind, service.id)?;
    kept.expires_at += months * 30 * DAY;
    let what =
        vec![("serviceid", Cell::Ids(vec![service.id])), ("expires_at", Cell::Date(Some(kept.expires_at)))];
    Ok(bought(account, invoice, what, price))
}

fn renew_key(account: &mut Account, params: &Params<'_>, action: &str) -> Answer {
    let id = params.text("key_id")?;
    let found = account.keys.iter().position(|key| key.id == id);
    let missing = || Refusal::new(Kind::Missing, format!("Key {id} không tồn tại"));
    let at = found.ok_or_else(missing)?;
    let price = account.keys.get(at).map_or(0, |key| key.price);
    let invoice = account.charge(action, price, &format!("Gia hạn key {id}"))?;
    let key = account.keys.get_mut(at).ok_or_else(missing)?;
    key.expires_at += 30 * DAY;
    let what = vec![("key_id", text(&id)), ("expires_at", Cell::Date(Some(key.expires_at)))];
    Ok(bought(account, invoice, what, price))
}

fn invoices(account: &Account) -> Payload {
    let rows = account.invoices.iter().map(|invoice| {
        vec![
            ("id", Cell::Id(invoice.id)),
            ("status", text(if invoice.paid_at.is_some() { "Paid" } else { "Unpaid" })),
            ("total", Cell::Money(invoice.total)),
            ("description", text(&invoice.description)),
            ("created_at", Cell::Date(Some(invoice.created_at))),
            ("duedate", Cell::Date(Some(invoice.due_at))),
            ("datepaid", Cell::Date(invoice.paid_at)),
        ]
    });
    many("invoices", "invoice", "id", rows.collect())
}

fn pay_invoice(account: &mut Account, params: &Params<'_>, action: &str) -> Answer {
    let id = params.integer("invoice_id")?;
    let missing = || Refusal::new(Kind::Missing, format!("Hóa đơn {id} không tồn tại"));
    let invoice = account.invoices.iter().find(|invoice| invoice.id == id).cloned().ok_or_else(missing)?;
    if invoice.paid_at.is_some() {
        return Err(Refusal::new(Kind::Conflict, "Hóa đơn đã thanh toán, thanh toán đã tồn tại"));
    }
    account.charge(action, invoice.total, &format!("Thanh toán hóa đơn {id}"))?;
    // The payment is of this invoice; the one that every other charge writes would be its double.
    account.invoices.pop();
    let now = account.now();
    if let Some(invoice) = account.invoices.iter_mut().find(|invoice| invoice.id == id) {
        invoice.paid_at = Some(now);
    }
    let row = vec![
        ("order_id", Cell::Id(account.id())),
        ("invoice_id", Cell::Id(id)),
        ("amount", Cell::Money(invoice.total)),
        ("balance_after", Cell::Money(account.balance)),
    ];
    Ok(Payload::One("invoice", row))
}

fn profile(account: &Account) -> Payload {
    let profile = &account.profile;
    let row = vec![
        ("id", Cell::Id(777)),
        ("fullname", text(&profile.fullname)),
        ("email", text(&profile.email)),
        ("phone", text(&profile.phone)),
        ("company", text(&profile.company)),
        ("address", text(&profile.address)),
    ];
    Payload::One("user", row)
}

fn update_profile(account: &mut Account, params: &Params<'_>) -> Payload {
    let profile = &mut account.profile;
    let fields = [
        ("fullname", &mut profile.fullname),
        ("email", &mut profile.email),
        ("phone", &mut profile.phone),
        ("company", &mut profile.company),
        ("address", &mut profile.address),
    ];
    for (name, field) in fields {
        if let Some(value) = params.optional(name) {
            *field = value;
        }
    }
    Payload::Done("Đã cập nhật hồ sơ")
}

fn tickets(account: &Account, params: &Params<'_>) -> Answer {
    let (page, limit) =
        (params.integer("page").unwrap_or(1).max(1), params.integer("limit").unwrap_or(20).clamp(1, 100));
    let status = params.optional("status").unwrap_or_default();
    let asked: Vec<&Ticket> = account
        .tickets
        .iter()
        .rev()
        .filter(|ticket| status.is_empty() || ticket_state(ticket).eq_ignore_ascii_case(&status))
        .collect();
    let total = asked.len();
    let (skip, take) =
        (usize::try_from((page - 1) * limit).unwrap_or(usize::MAX), usize::try_from(limit).unwrap_or(20));
    let rows = asked.into_iter().skip(skip).take(take).map(|ticket| ticket_row(ticket, false)).collect();
    Ok(Payload::Many(Many { plural: "tickets", singular: "ticket", key: "id", rows, total }))
}

fn ticket_state(ticket: &Ticket) -> &'static str {
    match ticket.replies.last() {
        Some(reply) if reply.author == "Hỗ trợ" => "Answered",
        Some(_) => "Customer-Reply",
        None => "Open",
    }
}

fn ticket_row(ticket: &Ticket, whole: bool) -> Row {
    let mut row = vec![
        ("id", Cell::Id(ticket.id)),
        ("subject", text(&ticket.subject)),
        ("status", text(ticket_state(ticket))),
        ("created_at", Cell::Date(Some(ticket.created_at))),
    ];
    if whole {
        let replies = ticket.replies.iter().map(|reply| {
            vec![
                ("id", Cell::Id(reply.id)),
                ("author", text(reply.author)),
                ("content", text(&reply.message)),
                ("attachments", Cell::Texts(reply.attachments.clone())),
                ("created_at", Cell::Date(Some(reply.at))),
            ]
        });
        row.extend([("content", text(&ticket.message)), ("replies", Cell::Rows(replies.collect()))]);
    }
    row
}

fn find_ticket(account: &mut Account, id: i64) -> Result<&mut Ticket, Refusal> {
    let found = account.tickets.iter_mut().find(|ticket| ticket.id == id);
    found.ok_or_else(|| Refusal::new(Kind::Missing, format!("Ticket {id} không tồn tại")))
}

/// How long support takes to answer, in milliseconds.
const SUPPORT_TIME: i64 = 2_000;

fn open_ticket(account: &mut Account, params: &Params<'_>) -> Answer {
    let (subject, message) = (params.text("subject")?, params.text("message")?);
    params.texts("attachment_urls")?;
    let (id, now) = (account.id(), account.now());
    let ticket = Ticket {
        id,
        subject,
        message,
        created_at: now,
        replies: Vec::new(),
        answer_at: Some(now + SUPPORT_TIME),
    };
    let row = vec![("ticket_id", Cell::Id(id)), ("subject", text(&ticket.subject)), ("status", text("Open"))];
    account.tickets.push(ticket);
    Ok(Payload::One("ticket", row))
}

fn reply(account: &mut Account, params: &Params<'_>) -> Answer {
    let (id, message, attachments) =
        (params.integer("ticket_id")?, params.text("message")?, params.texts("attachment_urls")?);
    let now = account.now();
    let reply_id = account.id();
    let ticket = find_ticket(account, id)?;
    ticket.replies.push(Reply { id: reply_id, author: "Khách hàng", message, attachments, at: now });
    ticket.answer_at = Some(now + SUPPORT_TIME);
    Ok(Payload::Done("Đã gửi trả lời"))
}

/// Something that looks like a password.
fn token() -> String {
    let letters: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
    let pick = |byte: u8| letters.get(usize::from(byte) % letters.len()).copied().unwrap_or(b'x');
    ambient::random().into_iter().map(|byte| char::from(pick(byte))).collect()
}
