use super::*;

/// `30 03 02 01 05`: the smallest thing that is one DER sequence.
const BODY: &str = "MAMCAQU=";
const DER: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x05];

fn block(label: &str) -> String {
    format!("-----BEGIN {label}-----\n{BODY}\n-----END {label}-----\n")
}

fn code<T: fmt::Debug>(result: Result<T, PemError>) -> &'static str {
    result.expect_err("an error").code()
}

#[test]
fn what_is_encoded_decodes() {
    let der: Vec<u8> = (0..=255).collect();
    let pem = encode("CERTIFICATE", &der).unwrap();
    assert!(pem.lines().all(|line| line.len() <= 64) && pem.ends_with("-----\n"));
    assert_eq!(certificates(pem.as_bytes()).unwrap(), [der]);
}

#[test]
fn tolerates_what_people_paste() {
    let pem = block("CERTIFICATE");
    let variants = [
        pem.clone(),
        pem.trim_end().to_owned(),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', " "),
        pem.replace('\n', ""),
        format!("\u{feff}subject=CN = a: b\nissuer=- - -\n\n{pem}\nfurther text"),
        format!("Bag Attributes\n  friendlyName: -----\n{pem}"),
        pem.replace("MAMC", "MA\n\t MC\r\n"),
    ];
    for text in variants {
        assert_eq!(certificates(text.as_bytes()).unwrap(), [DER], "{text:?}");
    }
}

#[test]
fn many_certificates_keep_their_order_and_others_are_skipped() {
    let other = encode("X509 CERTIFICATE", &[1, 2, 3]).unwrap();
    let text = format!("{}{}{other}", block("CERTIFICATE"), block("PRIVATE KEY"));
    assert_eq!(certificates(text.as_bytes()).unwrap(), [DER.to_vec(), vec![1, 2, 3]]);
}

#[test]
fn errors_name_what_is_wrong_and_where() {
    let truncated = "-----BEGIN CERTIFICATE-----\nMAMCAQU\n-----END CERTIFICATE-----";
    let garbage = "\n-----BEGIN CERTIFICATE-----\nMAMC\nM*MC\n-----END CERTIFICATE-----";
    let no_end = "-----BEGIN CERTIFICATE-----\nMAMCAQU=";
    let other_end = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END PRIVATE KEY-----";
    let nested = format!("-----BEGIN CERTIFICATE-----\n{}", block("CERTIFICATE"));
    let label = "CERTIFICATE".to_owned();
    assert_eq!(
        certificates(truncated.as_bytes()),
        Err(PemError::TruncatedBase64 {
            label: label.clone(),
            line: 1
        })
    );
    assert_eq!(
        certificates(garbage.as_bytes()),
        Err(PemError::InvalidBase64 {
            label: label.clone(),
            line: 4
        })
    );
    for text in [no_end, other_end, &nested] {
        assert_eq!(
            certificates(text.as_bytes()),
            Err(PemError::MissingEnd {
                label: label.clone(),
                line: 1
            }),
            "{text}"
        );
    }
    assert_eq!(code(certificates(b"-----BEGIN certificate-----")), "MalformedPemHeader");
    assert_eq!(code(certificates(b"-----BEGIN CERTIFICATE")), "MalformedPemHeader");
    assert_eq!(
        code(certificates(b"-----BEGIN A-----\n \n-----END A-----")),
        "EmptyPemBlock"
    );
}

#[test]
fn a_missing_kind_tells_what_is_there() {
    let key = block("PRIVATE KEY");
    assert_eq!(
        certificates(key.as_bytes()),
        Err(PemError::NoCertificate {
            found: vec!["PRIVATE KEY".into()]
        })
    );
    assert_eq!(
        certificates(b"").unwrap_err().to_string(),
        "the PEM text holds no certificate, nor any other block"
    );
    assert_eq!(
        private_key(block("CERTIFICATE").as_bytes()).unwrap_err().to_string(),
        "the PEM text holds no private key, only: CERTIFICATE"
    );
}

#[test]
fn private_keys_of_three_formats() {
    for (label, format) in [
        ("PRIVATE KEY", PrivateKeyFormat::Pkcs8),
        ("EC PRIVATE KEY", PrivateKeyFormat::Sec1),
        ("RSA PRIVATE KEY", PrivateKeyFormat::Pkcs1),
    ] {
        // openssl ecparam writes its parameters in front of the key.
        let text = format!("{}{}", block("EC PARAMETERS"), block(label));
        let key = private_key(text.as_bytes()).unwrap();
        assert_eq!((key.format(), key.secret_der()), (format, &DER[..]));
        assert_eq!(key.to_pem(), block(label));
    }
}

#[test]
fn private_keys_that_cannot_be_used() {
    let two = format!("{}{}", block("PRIVATE KEY"), block("EC PRIVATE KEY"));
    let legacy = format!(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{BODY}\n-----END RSA PRIVATE KEY-----"
    );
    let not_der = encode("PRIVATE KEY", &[0x30, 0x05, 1]).unwrap();
    assert_eq!(
        private_key(two.as_bytes()),
        Err(PemError::SeveralPrivateKeys { count: 2 })
    );
    assert_eq!(code(private_key(legacy.as_bytes())), "EncryptedPrivateKey");
    assert_eq!(
        code(private_key(block("ENCRYPTED PRIVATE KEY").as_bytes())),
        "EncryptedPrivateKey"
    );
    assert_eq!(
        code(private_key(block("OPENSSH PRIVATE KEY").as_bytes())),
        "UnsupportedPrivateKey"
    );
    assert_eq!(code(private_key(not_der.as_bytes())), "NotDer");
}

#[test]
fn legacy_headers_are_skipped() {
    let text = format!("-----BEGIN CERTIFICATE-----\r\nComment: hi\r\n\r\n{BODY}\r\n-----END CERTIFICATE-----");
    assert_eq!(certificates(text.as_bytes()).unwrap(), [DER]);
}

#[test]
fn secrets_are_not_shown() {
    let text = block("PRIVATE KEY");
    let key = private_key(text.as_bytes()).unwrap();
    let shown = format!("{key:?} {:?}", blocks(text.as_bytes()).unwrap());
    assert!(!shown.contains("48") && !shown.contains(BODY), "{shown}");
}

#[test]
fn labels_for_encoding_are_checked() {
    for label in ["", "certificate", " A", "A ", "A\nB", "-----", "É"] {
        assert_eq!(encode(label, &DER), Err(PemError::InvalidLabel), "{label}");
    }
}

#[test]
fn pem_and_der_are_told_apart() {
    assert!(is_pem(block("CERTIFICATE").as_bytes()));
    assert!(is_pem(format!("0 text\n{}", block("CERTIFICATE")).as_bytes()));
    assert!(!is_pem(&DER));
    let der_with_marker = [&[0x30, 0x82, 0x00, 0x0b][..], BEGIN].concat();
    assert!(!is_pem(&der_with_marker));
}
