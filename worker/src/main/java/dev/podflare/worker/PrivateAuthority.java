package dev.podflare.worker;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Collection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.jspecify.annotations.Nullable;

/** Certificate authorities that are trusted beside those that Java brings. */
final class PrivateAuthority {
  private static final int LARGEST_FILE = 1 << 20;

  private PrivateAuthority() {}

  /**
   * A context that trusts the usual authorities and those of a PEM file.
   *
   * @throws IllegalArgumentException the file has none; the text is for a person
   */
  static SSLContext trusting(Path pem) {
    try {
      Collection<? extends Certificate> added = certificates(pem);
      KeyStore all = KeyStore.getInstance(KeyStore.getDefaultType());
      all.load(null, null);
      int count = 0;
      for (TrustManager usual : managers(null)) {
        if (usual instanceof X509TrustManager manager) {
          for (X509Certificate issuer : manager.getAcceptedIssuers()) {
            all.setCertificateEntry("usual-" + count++, issuer);
          }
        }
      }
      for (Certificate certificate : added) {
        all.setCertificateEntry("added-" + count++, certificate);
      }
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, managers(all), null);
      return context;
    } catch (IOException | GeneralSecurityException unusable) {
      throw new IllegalArgumentException(
          pem
              + " can't be read as certificates: "
              + unusable.getMessage()
              + "; --ca-file names a PEM file with -----BEGIN CERTIFICATE-----",
          unusable);
    }
  }

  private static Collection<? extends Certificate> certificates(Path pem)
      throws IOException, GeneralSecurityException {
    if (!Files.isRegularFile(pem) || Files.size(pem) > LARGEST_FILE) {
      throw new IOException("it is not a file of at most " + LARGEST_FILE + " bytes");
    }
    Collection<? extends Certificate> found =
        CertificateFactory.getInstance("X.509")
            .generateCertificates(new ByteArrayInputStream(Files.readAllBytes(pem)));
    if (found.isEmpty()) {
      throw new IOException("it holds no certificate");
    }
    return found;
  }

  private static TrustManager[] managers(@Nullable KeyStore trusted)
      throws GeneralSecurityException {
    TrustManagerFactory factory =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(trusted);
    return factory.getTrustManagers();
  }
}
