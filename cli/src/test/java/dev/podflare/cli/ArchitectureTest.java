package dev.podflare.cli;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.type;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import dev.podflare.server.Mount;
import dev.podflare.server.MountedCall;
import java.time.Instant;
import org.junit.jupiter.api.Test;

/**
 * Who may know whom. The folder list shows the modules; this keeps what it shows true. It stands in
 * this module because no other sees all of them.
 */
class ArchitectureTest {
  private static final String HOST = "dev.podflare.host..";
  private static final String QEMU = "dev.podflare.engine.qemu..";
  private static final String GUEST = "dev.podflare.guest..";
  private static final String SANDBOX = "dev.podflare.sandbox..";
  private static final String SERVER = "dev.podflare.server..";
  private static final String MCP = "dev.podflare.mcp..";
  private static final String SDK = "dev.podflare.sdk..";
  private static final String WORKER = "dev.podflare.worker..";
  private static final String CLI = "dev.podflare.cli..";

  /** The QEMU engine's package lies below the one that it implements, and is another module. */
  private static final DescribedPredicate<JavaClass> ENGINE =
      resideInAPackage("dev.podflare.engine..").and(not(resideInAPackage(QEMU))).as("the engine");

  private static final JavaClasses PODFLARE =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("dev.podflare");

  @Test
  void dependenciesPointOneWay() {
    layeredArchitecture()
        .consideringOnlyDependenciesInLayers()
        .layer("host")
        .definedBy(HOST)
        .layer("engine")
        .definedBy(ENGINE)
        .layer("engine-qemu")
        .definedBy(QEMU)
        .layer("guest")
        .definedBy(GUEST)
        .layer("sandbox")
        .definedBy(SANDBOX)
        .layer("server")
        .definedBy(SERVER)
        .layer("mcp")
        .definedBy(MCP)
        .layer("sdk")
        .definedBy(SDK)
        .layer("worker")
        .definedBy(WORKER)
        .layer("cli")
        .definedBy(CLI)
        .whereLayer("host")
        .mayNotAccessAnyLayer()
        .whereLayer("engine")
        .mayNotAccessAnyLayer()
        .whereLayer("engine-qemu")
        .mayOnlyAccessLayers("engine", "host")
        .whereLayer("guest")
        .mayNotAccessAnyLayer()
        .whereLayer("sandbox")
        .mayOnlyAccessLayers("engine", "guest")
        .whereLayer("server")
        .mayOnlyAccessLayers("sandbox", "engine")
        .whereLayer("mcp")
        .mayOnlyAccessLayers("server")
        .whereLayer("sdk")
        .mayNotAccessAnyLayer()
        .whereLayer("worker")
        .mayOnlyAccessLayers("sdk")
        .withOptionalLayers(true)
        .check(PODFLARE);
  }

  @Test
  void theEngineKnowsNobody() {
    classes()
        .that(ENGINE)
        .should()
        .onlyDependOnClassesThat(
            ENGINE.or(resideInAnyPackage("java..", "javax..", "org.jspecify.annotations")))
        .check(PODFLARE);
  }

  @Test
  void nothingButTheCommandLineKnowsTheQemuEngine() {
    noClasses()
        .that()
        .resideOutsideOfPackages(QEMU, CLI)
        .should()
        .dependOnClassesThat()
        .resideInAPackage(QEMU)
        .check(PODFLARE);
  }

  @Test
  void nothingBelowTheServerKnowsHttp() {
    noClasses()
        .that()
        .resideOutsideOfPackages(SERVER, MCP, SDK, WORKER, CLI)
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(SERVER, "io.helidon..", "java.net.http..", "com.sun.net.httpserver..")
        .check(PODFLARE);
  }

  @Test
  void theToolsOfModelsKnowOfTheServerOnlyHowToStandInIt() {
    classes()
        .that()
        .resideInAPackage(MCP)
        .should()
        .onlyDependOnClassesThat(
            not(resideInAPackage(SERVER))
                .or(type(Mount.class))
                .or(type(MountedCall.class))
                .and(not(resideInAPackage("io.helidon.."))))
        .check(PODFLARE);
  }

  @Test
  void nothingButItsOwnCommandKnowsTheWorker() {
    noClasses()
        .that()
        .resideOutsideOfPackage(WORKER)
        .and()
        .areNotAssignableTo(WorkerCommand.class)
        .and()
        .areNotAssignableTo(ServedEnvironment.class)
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(WORKER, SDK)
        .check(PODFLARE.that(not(resideInAPackage(SDK))));
  }

  @Test
  void packagesHaveNoCycles() {
    slices().matching("dev.podflare.(**)").should().beFreeOfCycles().check(PODFLARE);
  }

  @Test
  void onlyTheCommandLineWritesToTheTerminal() {
    noClasses().that().resideOutsideOfPackage(CLI).should(ACCESS_STANDARD_STREAMS).check(PODFLARE);
  }

  @Test
  void timeOfDayComesFromAnInjectedClock() {
    noClasses()
        .should()
        .callMethod(System.class, "currentTimeMillis")
        .orShould()
        .callMethod(Instant.class, "now")
        .check(PODFLARE);
  }
}
