//! Who gets a place, and who has to go for it.

use super::*;

fn places(connections: usize, connections_per_peer: usize) -> Arc<Places> {
    let minute = Duration::from_secs(60);
    Arc::new(Places::new(Limits {
        connections,
        connections_per_peer,
        head_timeout: minute,
        idle_timeout: minute,
        write_timeout: minute,
        streams: 1,
    }))
}

fn is_told(place: &Place, order: Order) -> bool {
    place.pulse.told(std::task::Waker::noop()) == order
}

const A_MOMENT: Duration = Duration::from_millis(100);

/// Somebody at whose call gizad works.
fn at_work(place: Place) -> Place {
    place.pulse.begins();
    place
}

#[tokio::test(start_paused = true)]
async fn newcomers_displace_those_who_wait_and_never_those_who_are_worked_for() {
    let places = places(3, 3);
    let (one, two) = (Peer::User(1), Peer::User(2));
    let busy = at_work(places.try_enter(one).expect("a place"));
    let served = places.try_enter(one).expect("a place");
    served.pulse.begins();
    served.pulse.serves();
    served.pulse.ends();
    let silent = places.try_enter(one).expect("a place");
    assert_eq!(places.try_enter(two).err(), Some(Full::All), "they have only just come");
    sleep(A_MOMENT).await;
    let other = at_work(places.try_enter(two).expect("that of the silent one, who need not have gone yet"));
    let told = || [&silent, &served, &busy].map(|place| place.pulse.told(std::task::Waker::noop()));
    assert_eq!(told(), [Order::Leave, Order::Stay, Order::Stay]);
    drop(silent);
    let next = at_work(places.try_enter(two).expect("that of the one who was served"));
    assert!(is_told(&served, Order::Leave));
    assert_eq!(places.try_enter(two).err(), Some(Full::All), "nobody else can be spared");
    assert!([&busy, &other, &next].iter().all(|place| is_told(place, Order::Stay)));
    drop(served);
    assert_eq!(places.try_enter(two).err(), Some(Full::All), "its place is taken");
    drop(busy);
    assert!(places.try_enter(two).is_ok());
    drop((other, next));
    let here = places.here();
    assert_eq!((here.leaving, here.all.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_all_its_places_displaces_only_itself() {
    let places = places(100, 2);
    let (one, two) = (Peer::User(1), Peer::User(2));
    let other = places.try_enter(two).expect("a place");
    let busy = at_work(places.try_enter(one).expect("a place"));
    let silent = places.try_enter(one).expect("a place");
    sleep(A_MOMENT).await;
    let next = at_work(places.try_enter(one).expect("that of the silent one"));
    assert!(is_told(&silent, Order::Leave) && is_told(&other, Order::Stay));
    assert_eq!(places.try_enter(one).err(), Some(Full::Peer), "all are at work");
    assert!(places.enter(one).await.is_none());
    drop((busy, silent));
    assert!(places.try_enter(one).is_ok());
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_asked_to_go_than_there_is_room_for() {
    let places = places(2 * SPARE, 2 * SPARE);
    let peer = Peer::User(1);
    let mut all: Vec<Place> = (0..2 * SPARE).map(|_| places.try_enter(peer).expect("a place")).collect();
    sleep(A_MOMENT).await;
    all.extend((0..SPARE).map(|_| places.try_enter(peer).expect("that of another")));
    assert_eq!(places.try_enter(peer).err(), Some(Full::All));
    all.remove(0);
    assert!(places.try_enter(peer).is_ok(), "as soon as one of them has gone");
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_all_at_work_waits_a_moment_for_one_to_be_done() {
    let places = places(1, 1);
    let busy = at_work(places.try_enter(Peer::User(1)).expect("a place"));
    assert!(places.enter(Peer::User(2)).await.is_none());
    let (waiting, ()) = tokio::join!(places.enter(Peer::User(2)), async {
        sleep(PATIENCE / 2).await;
        busy.pulse.ends();
    });
    assert!(waiting.is_some() && is_told(&busy, Order::Leave));
}

/// HTTP/2 loses nothing by being told at once; a connection of HTTP/1 may have its last call on the way.
#[tokio::test(start_paused = true)]
async fn a_close_waits_for_everybody_and_lets_the_last_calls_of_http_1_come_in() {
    let places = places(3, 3);
    let enter = || places.try_enter(Peer::User(1)).expect("a place");
    let (here, speaker) = (enter(), enter());
    speaker.pulse.speaks_http2();
    let closing = tokio::join!(timeout(Duration::from_secs(9), places.close()), async {
        assert!(places.is_closing() && is_told(&speaker, Order::Finish) && is_told(&here, Order::Stay));
        let late = enter();
        assert!(is_told(&late, Order::Stay), "it came in before");
        drop(speaker);
        sleep(LAST + A_MOMENT).await;
        assert!(is_told(&here, Order::Finish) && is_told(&late, Order::Finish));
        drop(late);
        let later = enter();
        assert!(is_told(&later, Order::Finish));
        drop((here, later));
    });
    assert!(closing.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_nobody_who_has_gone() {
    let places = places(1, 1);
    drop(places.try_enter(Peer::User(1)).expect("a place"));
    let begun = ambient::instant();
    places.close().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[test]
fn a_network_of_ipv6_is_one_peer() {
    let at = |text: &str| Peer::at(text.parse().expect("an address"));
    assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:0:0:1"));
    assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
    assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
}
