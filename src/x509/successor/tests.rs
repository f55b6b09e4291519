use super::*;
use crate::x509::testing::{DAY, NOW, Party, chain, extension};

/// A peer that changed its key twice and renewed its certificate in between; the newest first.
struct Peer {
    certificates: Vec<Party>,
}

impl Peer {
    fn new() -> Self {
        let first = Party::new("first", None, |params| {
            params.not_before = NOW - 9 * DAY;
            params.not_after = NOW - 8 * DAY;
        });
        let second = Party::new("second", Some(&first), |_| {});
        let renewed = Party::with_key(second.key.clone(), "second", Some(&second), |_| {});
        let third = Party::new("third", Some(&renewed), |_| {});
        Self {
            certificates: vec![third, renewed, second, first],
        }
    }

    fn chain(&self) -> Chain {
        chain(&self.certificates.iter().collect::<Vec<_>>())
    }

    fn key(&self, index: usize) -> Identity {
        Identity::PublicKey(self.chain().certificates()[index].public_key().to_vec())
    }
}

fn judge(chain: &Chain, options: &SuccessorOptions<'_>) -> String {
    match verify_signed_by_successor(chain, options) {
        Ok(found) => format!("ok:{}", found.index()),
        Err(error) => format!("{}:{}", error.code(), error.index().map_or(-1, |index| index as i32)),
    }
}

fn find(chain: &Chain, wanted: &[Identity]) -> String {
    judge(chain, &SuccessorOptions::new(Target::Identities(wanted), NOW))
}

#[test]
fn every_key_along_the_chain_is_the_peer() {
    let peer = Peer::new();
    let chain = peer.chain();
    assert_eq!(find(&chain, &[peer.key(0)]), "ok:0");
    assert_eq!(find(&chain, &[peer.key(2)]), "ok:1", "a renewal carries the same key");
    assert_eq!(find(&chain, &[peer.key(3)]), "ok:3");
    let fingerprint = Identity::SpkiSha256(chain.certificates()[3].spki_fingerprint());
    assert_eq!(find(&chain, &[fingerprint]), "ok:3");
}

#[test]
fn the_first_wanted_key_along_the_chain_is_named() {
    let peer = Peer::new();
    let chain = peer.chain();
    let wanted = [Identity::PublicKey(vec![0; 32]), peer.key(3), peer.key(1)];
    let options = SuccessorOptions::new(Target::Identities(&wanted), NOW);
    let found = verify_signed_by_successor(&chain, &options).unwrap();
    assert_eq!((found.index(), found.identity()), (1, Some(2)));
    assert_eq!(found.leaf().subject().common_name(), Some("third"));
}

#[test]
fn strangers_are_not_found() {
    let peer = Peer::new();
    let chain = peer.chain();
    assert_eq!(find(&chain, &[Identity::PublicKey(vec![0; 32])]), "IdentityNotFound:-1");
    assert_eq!(
        find(&chain, &[]),
        "IdentityNotFound:-1",
        "wanting nobody accepts nobody"
    );
    assert_eq!(find(&chain, &[Identity::PublicKey(vec![])]), "IdentityNotFound:-1");
}

#[test]
fn a_chain_borrowed_from_another_peer_proves_nothing() {
    let peer = Peer::new();
    let [_, renewed, second, first] = peer.certificates.as_slice() else {
        panic!("four certificates")
    };
    // The thief signs with a key of its own, and names the victim as its issuer.
    let thief = Party::with_key(
        crate::x509::generate_key(crate::x509::KeyAlgorithm::Ed25519).unwrap(),
        "second",
        None,
        |_| {},
    );
    let stolen = chain(&[&thief, renewed, second, first]);
    assert_eq!(find(&stolen, &[peer.key(3)]), "BadSignature:0");
    let unnamed = Party::new("thief", None, |_| {});
    let stolen = chain(&[&unnamed, renewed, second, first]);
    assert_eq!(find(&stolen, &[peer.key(3)]), "IssuerMismatch:0");
}

#[test]
fn a_gap_behind_the_wanted_key_does_not_matter_before_it_does() {
    let peer = Peer::new();
    let [third, renewed, _, first] = peer.certificates.as_slice() else {
        panic!("four certificates")
    };
    let gap = chain(&[third, renewed, first]);
    assert_eq!(find(&gap, &[peer.key(1)]), "ok:1");
    // The renewed certificate was signed by the second key, not by the first.
    assert_eq!(find(&gap, &[peer.key(3)]), "IssuerMismatch:1");
}

#[test]
fn the_whole_chain_can_be_asked_for() {
    let peer = Peer::new();
    let whole = SuccessorOptions::new(Target::WholeChain, NOW);
    assert_eq!(judge(&peer.chain(), &whole), "ok:3");
    let options = SuccessorOptions::new(Target::WholeChain, NOW);
    let own = peer.chain();
    assert_eq!(verify_signed_by_successor(&own, &options).unwrap().identity(), None);
    let [third, _, second, first] = peer.certificates.as_slice() else {
        panic!("four certificates")
    };
    // Same key, same name: without the renewal between them the chain holds as well.
    assert_eq!(judge(&chain(&[third, second, first]), &whole), "ok:2");
    assert_eq!(judge(&chain(&[third, first]), &whole), "IssuerMismatch:0");
}

#[test]
fn old_dates_count_only_if_asked() {
    let peer = Peer::new();
    let chain = peer.chain();
    let wanted = [peer.key(3)];
    let mut options = SuccessorOptions::new(Target::Identities(&wanted), NOW);
    assert_eq!(judge(&chain, &options), "ok:3");
    options.dates = Dates::Every;
    assert_eq!(judge(&chain, &options), "CertificateExpired:3");
    options.at = NOW + 2 * DAY;
    options.dates = Dates::Leaf;
    assert_eq!(judge(&chain, &options), "CertificateExpired:0");
}

#[test]
fn circles_long_chains_and_unknown_critical_extensions_are_refused() {
    let peer = Peer::new();
    let [third, renewed, second, first] = peer.certificates.as_slice() else {
        panic!("four certificates")
    };
    let mut options = SuccessorOptions::new(Target::WholeChain, NOW);
    // A renewal was signed by its own key, so it could stand behind itself forever.
    assert_eq!(
        judge(&chain(&[third, renewed, renewed, second, first]), &options),
        "ChainLoop:2"
    );
    options.max_length = 1;
    assert_eq!(judge(&chain(&[third, renewed]), &options), "ChainTooLong:-1");

    let strange = Party::new("strange", Some(first), |params| {
        params.extensions = vec![extension("1.2.3", true, &[5, 0])];
    });
    let chain = chain(&[&strange, first]);
    let accepted = ["1.2.3".to_owned()];
    let mut options = SuccessorOptions::new(Target::WholeChain, NOW);
    assert_eq!(judge(&chain, &options), "UnknownCriticalExtension:0");
    options.accepted_critical = &accepted;
    assert_eq!(judge(&chain, &options), "ok:1");
}
