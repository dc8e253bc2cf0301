//! What the options of one RPC declare, read into the parts of a row.

use prost_reflect::DynamicMessage;

use super::{Action, Answer, Body, Kind, Message, Path, Shape, Variant, Verb, VietQr, fold, options};

pub(super) fn route(http: &DynamicMessage) -> Result<(Verb, Path, Body), String> {
    let verbs = [("get", Verb::Get), ("post", Verb::Post), ("patch", Verb::Patch)];
    let mut found = verbs.into_iter().filter(|(name, _)| http.has_field_by_name(name));
    let Some((name, verb)) = found.next() else {
        return Err("its route is none of GET, POST, PATCH".to_owned());
    };
    if !options::messages(http, "additional_bindings").is_empty() {
        return Err("an operation has one route".to_owned());
    }
    let path = Path::parse(&options::text(http, name))?;
    let body = match options::text(http, "body").as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        field => Body::Field(field.to_owned()),
    };
    if verb == Verb::Get && body != Body::None {
        return Err("a GET has no body".to_owned());
    }
    Ok((verb, path, body))
}

/// What the provider's answer is read into.
pub(super) fn told<'a>(output: &'a Message, result: Option<&str>) -> Result<&'a Message, String> {
    let Some(name) = result else { return Ok(output) };
    match output.field(name).map(|field| &field.kind) {
        Some(Kind::Message(part)) => Ok(part),
        _ => Err(format!("`result` names {name:?}, which is no message of the response")),
    }
}

pub(super) fn upstream(action: &DynamicMessage, input: &Message, own: bool) -> Result<Action, String> {
    let name = options::text(action, "name");
    let name_from = Some(options::text(action, "name_from")).filter(|field| !field.is_empty());
    match &name_from {
        None if own && name.is_empty() => {}
        _ if own => return Err("what is `local` or `expiring` names no action".to_owned()),
        None if name.is_empty() => return Err("it names no action".to_owned()),
        Some(_) if !name.is_empty() => return Err("`name` and `name_from` exclude each other".to_owned()),
        Some(field) if !input.field(field).is_some_and(|field| matches!(field.kind, Kind::Text)) => {
            return Err(format!("`name_from`: the request has no text field {field:?}"));
        }
        _ => {}
    }
    let pairs = options::messages(action, "constants");
    let constants = pairs.iter().map(|pair| (options::text(pair, "name"), options::text(pair, "value")));
    let variants = options::messages(action, "variants").into_iter().map(|variant| {
        let field = options::text(&variant, "field");
        let value = options::text(&variant, "value");
        let number = state(input, &field, &value).ok_or(format!("no variant {value:?} of {field:?}"))?;
        Ok(Variant { field, number, action: options::text(&variant, "action") })
    });
    Ok(Action {
        name,
        constants: constants.collect(),
        variants: variants.collect::<Result<_, String>>()?,
        name_from,
    })
}

pub(super) fn answer(action: &DynamicMessage, output: &Message) -> Result<Answer, String> {
    let answer = options::message(action, "answer").ok_or("it does not say what its answer looks like")?;
    let shape = match options::number(&answer, "shape") {
        1 => Shape::Done,
        2 => Shape::Object,
        3 => Shape::List,
        4 => Shape::Item,
        5 => Shape::Raw,
        _ => return Err("its answer has no shape".to_owned()),
    };
    let minimum = options::texts(&answer, "minimum");
    let proof = match options::texts(&answer, "proof") {
        given if given.is_empty() => minimum.clone(),
        given => given,
    };
    let bare_success = options::flag(&answer, "bare_success");
    let list = output.fields.iter().find(|field| field.repeated);
    let items = match (shape, list.map(|field| &field.kind)) {
        (Shape::List, Some(Kind::Message(items))) => items,
        (Shape::List, _) => return Err("its response has no list of messages".to_owned()),
        (Shape::Done | Shape::Object | Shape::Item | Shape::Raw, _) => output,
    };
    if let Some(name) = minimum.iter().chain(&proof).find(|name| items.field(name).is_none()) {
        return Err(format!("`minimum` or `proof` names {name:?}, which its response does not have"));
    }
    let implied = match options::message(&answer, "implied") {
        None => None,
        Some(implied) => {
            let (field, value) = (options::text(&implied, "field"), options::text(&implied, "value"));
            let number = state(output, &field, &value).ok_or(format!("no implied {value:?} of {field:?}"))?;
            Some((field, number))
        }
    };
    let wrappers = options::texts(&answer, "wrappers").iter().map(|name| fold(name)).collect();
    Ok(Answer { shape, wrappers, minimum, bare_success, proof, implied })
}

/// The fields that a VietQR code is made of.
pub(super) fn vietqr(option: &DynamicMessage) -> VietQr {
    let name = |part| options::text(option, part);
    VietQr {
        bank: name("bank"),
        account: name("account"),
        amount: name("amount_vnd"),
        note: name("note"),
        state: name("state"),
        paid: name("paid"),
        expires: name("expires"),
    }
}

/// What is wrong with the VietQR codes of a message.
pub(super) fn unmakeable(output: &Message) -> Vec<String> {
    let mut wrong = Vec::new();
    for (field, of) in output.fields.iter().filter_map(|field| Some((field, field.vietqr.as_ref()?))) {
        let is = |name: &str, wanted: fn(&Kind) -> bool| output.field(name).is_some_and(|f| wanted(&f.kind));
        let text: fn(&Kind) -> bool = |kind| matches!(kind, Kind::Text);
        let parts = [(&of.bank, text), (&of.account, text), (&of.note, text)];
        let whole = parts.iter().all(|(name, wanted)| is(name, *wanted))
            && is(&of.amount, |kind| matches!(kind, Kind::Int64))
            && is(&of.state, |kind| matches!(kind, Kind::Enum(_)))
            && [&of.paid, &of.expires].iter().all(|name| is(name, |kind| matches!(kind, Kind::Timestamp)));
        if !whole || !matches!(field.kind, Kind::Text) {
            wrong.push(format!(
                "`vietqr` of {:?} names a field that is not there, or of another kind",
                field.name
            ));
        }
    }
    wrong
}

/// The number of an enum field's value, by their names.
fn state(message: &Message, field: &str, value: &str) -> Option<i32> {
    match &message.field(field)?.kind {
        Kind::Enum(states) => states.by_name(value).map(|value| value.number),
        _ => None,
    }
}
